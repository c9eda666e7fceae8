package offline

import "github.com/weir-ml/weir/internal/parquetfile"

// setBounds fills the file's bounds from its column statistics.
func (f *File) setBounds(cols []Column) {
	get := func(name string) (int64, int64) {
		for i, c := range cols {
			if c.Name == name && f.Stats[i].Min != nil && f.Stats[i].Max != nil {
				return parquetfile.Int(f.Stats[i].Min), parquetfile.Int(f.Stats[i].Max)
			}
		}
		return UnknownMin, UnknownMax
	}
	f.MinEffective, f.MaxEffective = get(ColEffective)
	f.MinKnown, f.MaxKnown = get(ColKnown)
	f.MinEvent, f.MaxEvent = get(ColEvent)
	f.MinOffset, f.MaxOffset = get(ColOffset)
	f.MinPartition, f.MaxPartition = get(ColPartition)
}
