package offline

import (
	"sync"
	"time"
)

// Stages of a join, as JoinRequest.Stage hears them.
const (
	StageWaiting = "waiting" // for other joins to end
	StageReading = "reading" // the spine
	StageSorting = "sorting" // a spine that does not fit in memory, by key
	StageJoining = "joining" // with the tables
	StageWriting = "writing" // giving out the rows; with joining in turns where a spine is joined in chunks
)

// progress makes one number of all a join does: its steps, each of which has a
// share of the expected time, and within a step how far that is. What is reported never
// goes back, and is rows of the spine: half the time is half the rows.
type progress struct {
	report func(done, total int64)
	stage  func(stage string)

	mu     sync.Mutex
	total  int64   // rows of the spine, as far as known
	base   float64 // share of the steps that are over
	span   float64 // share of this step
	part   float64 // of this step, for steps that tell it themselves
	most   int64   // reported so far
	now    string  // stage
	hushed bool    // giving out is not the last stage
	last   time.Time

	// A chunk's inner parts: 60 % of it is matching, 30 % fetching, 10 % giving out.
	chunk         bool
	rows          int64 // of this chunk
	files, seen   int64 // table rows to match, and matched
	want, fetchOf int64 // rows to fetch (spine rows x views), and fetched
	out           int64
}

// shareOfReading is what reading the spine counts for: how long the rest takes is not known yet.
const shareOfReading = 0.05

// step ends the step before and begins one that takes span of the whole.
func (p *progress) step(stage string, span float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.base += p.span
	p.span, p.part, p.chunk = span, 0, false
	p.at(stage)
}

func (p *progress) at(stage string) {
	if p.now != stage {
		p.now = stage
		if p.stage != nil {
			p.stage(stage)
		}
	}
}

// moved says how far a step is that is no chunk.
func (p *progress) moved(part float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part = min(1, part)
	p.tell(false)
}

// read counts rows that came in; known is how many there will be, 0 when nobody knows.
func (p *progress) read(rows, known int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = max(rows, known)
	p.part = share(rows, p.total)
	p.tell(false)
}

// begin begins a chunk, which is the whole step.
func (p *progress) begin(rows int, views []*viewJoin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chunk, p.rows, p.files, p.seen, p.out, p.fetchOf = true, int64(rows), 0, 0, 0, 0
	for _, v := range views {
		p.files += v.state.Rows
	}
	p.want = int64(rows * len(views))
	p.tell(false)
}

// matched counts table rows that have been dealt with, read or skipped.
func (p *progress) matched(rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen += rows
	p.tell(false)
}

// fetching tells how many rows a view will fetch, which is at most one a spine row.
func (p *progress) fetching(_ *viewJoin, rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetchOf += p.rows - int64(rows)
}

func (p *progress) fetched(rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetchOf += int64(rows)
	p.tell(false)
}

func (p *progress) emitted(rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out += int64(rows)
	p.tell(false)
}

// writing begins the last stage.
func (p *progress) writing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hushed {
		p.at(StageWriting)
	}
}

// hush keeps writing to partitions from counting as the stage of writing.
func (p *progress) hush(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hushed = on
}

// end reports that all is done.
func (p *progress) end(rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.base, p.span = rows, 1, 0
	p.tell(true)
}

// tell reports at most ten times a second; the clock only thins the reports out.
func (p *progress) tell(always bool) {
	if p.report == nil {
		return
	}
	now := time.Now()
	if !always && now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	part := p.part
	if p.chunk {
		part = 0.6*share(p.seen, p.files) + 0.3*share(p.fetchOf, p.want) + 0.1*share(p.out, p.rows)
	}
	done := int64((p.base + part*p.span) * float64(p.total))
	p.most = max(p.most, min(done, p.total))
	p.report(p.most, p.total)
}

func share(done, of int64) float64 {
	if of <= 0 {
		return 1
	}
	return min(1, float64(done)/float64(of))
}
