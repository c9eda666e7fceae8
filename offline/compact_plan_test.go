package offline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	testDay = int64(20_000) * Day
	mib     = int64(1 << 20)
)

// dayFile is a file of day 20,000 + day with so many MiB.
func dayFile(name string, day int64, size float64) File {
	return File{Path: name, Rows: int64(size * 1000), Bytes: int64(size * float64(mib)), Sorted: true,
		MinEffective: testDay + day*Day, MaxEffective: testDay + day*Day + Day - 1}
}

func filesOf(day int64, sizes ...float64) (files []File) {
	for i, s := range sizes {
		files = append(files, dayFile(fmt.Sprintf("d%d-%02d", day, i), day, s))
	}
	return files
}

func compactTo128() CompactConfig {
	cfg := DefaultCompactConfig()
	cfg.FileBytes = 128 * mib
	return cfg
}

func TestPlanCompaction(t *testing.T) {
	unsorted, unknown, twoDays := dayFile("u", 0, 300), dayFile("k", 0, 1), dayFile("t", 0, 1)
	unsorted.Sorted = false
	unknown.MinEffective, unknown.MaxEffective = UnknownMin, UnknownMax
	twoDays.MaxEffective += Day
	many := make([]float64, 300)
	for i := range many {
		many[i] = 1
	}
	for name, c := range map[string]struct {
		files []File
		want  []string // of each merge: files, whether they are mended
	}{
		"nothing":                          {},
		"too few":                          {filesOf(0, 1, 1, 1, 1), nil},
		"enough":                           {filesOf(0, 1, 1, 1, 1, 1), []string{"5 false"}},
		"each day on its own":              {append(filesOf(1, 1, 1, 1, 1, 1), filesOf(0, 2, 2, 2, 2, 2, 2)...), []string{"6 false", "5 false"}},
		"small ones in different days":     {append(filesOf(1, 1, 1, 1), filesOf(0, 1, 1)...), nil},
		"large ones are done":              {filesOf(0, 64, 64, 64, 64, 64, 64, 100, 128), nil},
		"a large one stays out":            {filesOf(0, 1, 1, 1, 1, 1, 40), []string{"5 false"}},
		"one that weighs little more":      {filesOf(0, 1, 1, 1, 1, 1, 1.2), []string{"6 false"}},
		"growing sizes":                    {filesOf(0, 1, 2, 4, 8, 16, 32), nil},
		"no larger than asked for":         {filesOf(0, 50, 50, 50, 50, 50), []string{"2 false", "2 false"}},
		"many":                             {filesOf(0, many...), []string{"100 false", "100 false", "100 false"}},
		"unsorted, whatever its size":      {[]File{unsorted}, []string{"1 true"}},
		"of no known day":                  {[]File{unknown, dayFile("x", 0, 1)}, []string{"1 true"}},
		"of two days":                      {[]File{twoDays, unknown}, []string{"1 true", "1 true"}},
		"unsorted beside what is worth it": {append(filesOf(0, 1, 1, 1, 1, 1), unsorted), []string{"1 true", "5 false"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := compactTo128()
			var got []string
			for _, p := range planCompaction(c.files, cfg, 100, 1<<30) {
				got = append(got, fmt.Sprint(len(p.files), p.mend))
				require.LessOrEqual(t, len(p.files), cfg.MaxFiles)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// What is held in memory bounds a merge, as do the number and size of files.
func TestPlanKeepsToItsLimits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var files []File
		for i := range 1 + r.IntN(600) {
			files = append(files, dayFile(fmt.Sprint(i), r.Int64N(3), math.Exp(r.Float64()*8-5)))
		}
		cfg := compactTo128()
		cfg.MinFiles, cfg.MaxFiles = 2+r.IntN(5), 10+r.IntN(300)
		memory := 1 + r.Int64N(1<<20)
		seen := map[string]bool{}
		for _, p := range planCompaction(files, cfg, 100, memory) {
			held := int64(0)
			for _, f := range p.files {
				require.False(t, seen[f.Path], "no file is merged twice")
				seen[f.Path] = true
				require.Equal(t, DayOf(p.files[0].MinEffective), DayOf(f.MinEffective))
				require.Less(t, 2*f.Bytes, cfg.FileBytes)
				if f.Rows <= smallRows {
					held += 100 * f.Rows
				}
			}
			require.LessOrEqual(t, len(p.files), cfg.MaxFiles)
			require.LessOrEqual(t, p.bytes, cfg.FileBytes)
			if len(p.files) > 1 {
				require.LessOrEqual(t, held, memory+memory/100)
			}
		}
	}
}

// A year of a table: a flush every few minutes into the day at hand, now and then late
// rows for days before, and a compaction every hour. How often a byte is written
// again stays within the bound, and so does the number of files of a day.
func TestYearOfCommits(t *testing.T) {
	for name, c := range map[string]struct {
		flush  func(r *rand.Rand) float64 // MiB
		passes float64                    // the most that bytes are rewritten, on average
	}{
		"even flushes":     {func(*rand.Rand) float64 { return 0.5 }, 3},
		"uneven flushes":   {func(r *rand.Rand) float64 { return 0.5 * math.Exp(r.NormFloat64()) }, 3},
		"a trickle":        {func(r *rand.Rand) float64 { return 0.002 + 0.001*r.Float64() }, 4},
		"bursts":           {func(r *rand.Rand) float64 { return []float64{0.01, 0.01, 0.01, 30}[r.IntN(4)] }, 2},
		"a stream at once": {func(r *rand.Rand) float64 { return 20 + 20*r.Float64() }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			const days, perHour = 365, 12
			r := rand.New(rand.NewPCG(3, 4))
			cfg := compactTo128()
			byDay := map[int64][]File{} // of which compaction looks at those that have changed
			rewritten, written := 0.0, 0.0
			worst := map[string]int{} // by file: how often its oldest bytes were rewritten
			next := 0
			add := func(day int64, size float64) {
				next++
				byDay[day] = append(byDay[day], dayFile(fmt.Sprint(next), day, size))
				written += size
			}
			for day := range int64(days) {
				for range 24 {
					touched := map[int64]bool{day: true}
					for range perHour {
						add(day, c.flush(r))
						if r.IntN(6) == 0 && day > 0 {
							late := day - 1 - r.Int64N(min(day, 30))
							add(late, 0.01)
							touched[late] = true
						}
					}
					for d := range touched {
						for {
							plan := planCompaction(byDay[d], cfg, 130, 128*mib)
							if len(plan) == 0 {
								break
							}
							for _, p := range plan {
								gone, age, smallest := map[string]bool{}, 0, p.bytes
								for _, f := range p.files {
									gone[f.Path] = true
									age = max(age, worst[f.Path])
									smallest = min(smallest, f.Bytes)
								}
								var kept []File
								for _, f := range byDay[d] {
									if !gone[f.Path] {
										kept = append(kept, f)
									}
								}
								next++
								made := dayFile(fmt.Sprint(next), d, float64(p.bytes)/float64(mib))
								byDay[d] = append(kept, made)
								worst[made.Path] = age + 1
								rewritten += float64(p.bytes) / float64(mib)
								// Each time a file's bytes are in one twice as large at least.
								require.LessOrEqual(t, float64(age), 1+math.Log2(float64(cfg.FileBytes)/float64(mib)/0.002))
							}
						}
					}
				}
			}
			files, most := 0, 0
			for _, fs := range byDay {
				small := 0
				for _, f := range fs {
					if 2*f.Bytes < cfg.FileBytes {
						small++
					}
				}
				files += len(fs)
				most = max(most, small)
			}
			t.Logf("%.1f GiB written, rewritten %.2f times, %d files in %d days, at most %d small ones a day", written/1024, rewritten/written, files, days, most)
			require.LessOrEqual(t, rewritten/written, c.passes)
			require.LessOrEqual(t, most, 30)
		})
	}
}
