package offline

// By makes a join go one way: memory, chunks or partitions. A spine that is to go
// another way than memory is spilled whatever its size.
func By(r *JoinRequest, way string) {
	for w := wayMemory; w <= wayPartitions; w++ {
		if w.String() == way {
			r.way = w
		}
	}
}

// SpillHandle is a spill file.
type SpillHandle = spillHandle

// SpillOver puts something before the disk of a process's joins.
func SpillOver(p *Joins, create func(h SpillHandle) SpillHandle) {
	p.folder.disk = overDisk(create)
}

type overDisk func(SpillHandle) SpillHandle

func (o overDisk) Create(path string) (spillHandle, error) {
	h, err := osDisk{}.Create(path)
	if err != nil {
		return nil, err
	}
	return o(h), nil
}
