package offline

// joinWay is how a spine is joined. docs/decisions/008-spine-spill.md says why
// there are several, and where the figures are from.
type joinWay int

const (
	_ joinWay = iota
	// wayMemory: all at once.
	wayMemory
	// wayChunks: in its order, as much at a time as fits; each chunk reads the tables.
	wayChunks
	// wayPartitions: each key set by ranges of its keys, of which each needs its own
	// part of the tables alone; what is found is put into the spine's order at the end.
	wayPartitions
)

func (w joinWay) String() string { return [...]string{"", "memory", "chunks", "partitions"}[w] }

// choose takes the way that is expected to take less time.
func (j *joiner) choose(s *spooled, forced joinWay) joinWay {
	way := forced
	if s.disk == nil {
		way = wayMemory
	} else if way != wayChunks && way != wayPartitions {
		way = wayChunks
		if j.partitionsCost(s) < j.chunksCost(s) {
			way = wayPartitions
		}
	}
	j.result.Way = way.String()
	return way
}

// What things cost, in nanoseconds of one processor.
const (
	costTableKey     = 4.0     // a table row's key
	costTableTimes   = 8.0     // a table row's times
	costTableValue   = 5.0     // a table row's value of a feature that is wanted
	costFile         = 100e3   // opening a file
	costPartitionRow = 150.0   // a spine row's way into a partition and back, for each key set
	costSpilledValue = 10.0    // a feature of a row, on the same way
	costSpilledByte  = 1.0     // written, read and put in order
	pageRows         = 8 << 10 // about the rows of a page: the least that is read of a file
)

// chunksCost reads every table once for each chunk.
func (j *joiner) chunksCost(s *spooled) float64 {
	chunks := float64((s.memory + j.memory - 1) / j.memory)
	sum := 0.0
	for _, v := range j.views {
		sum += chunks * v.cost(1)
	}
	return sum
}

// partitionsCost reads of every table a part for each partition, and takes keys
// and features through the disk.
func (j *joiner) partitionsCost(s *spooled) float64 {
	sum := 0.0
	for set := range j.shape.sets {
		sub := j.only(set)
		parts := sub.partitions(s.rows)
		values, bytes := 0.0, float64(sub.keyBytes())
		for _, v := range sub.views {
			sum += float64(parts) * v.cost(parts)
			values += float64(len(v.columns))
			bytes += float64(8 * len(v.columns))
		}
		sum += float64(s.rows) * (costPartitionRow + values*costSpilledValue + bytes*costSpilledByte)
	}
	return sum
}

// cost is that of reading the view's table once for one of so many parts of the keys.
func (v *viewJoin) cost(parts int) float64 {
	sum := 0.0
	for _, f := range v.state.Files {
		rows, own := float64(f.Rows), float64(f.Rows)
		if f.Sorted && parts > 1 {
			own = min(rows, rows/float64(parts)+pageRows)
		}
		sum += costFile + rows*costTableKey + own*(costTableTimes+costTableValue*float64(len(v.columns)))
	}
	return sum
}
