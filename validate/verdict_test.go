package validate

import (
	"slices"
	"testing"

	"github.com/weir-ml/weir/registry/feature"
)

func TestVerdict(t *testing.T) {
	v := rejecting(130, 0, 129)
	if r := v.Rejected(); len(r) != 2 || r[0].Index != 0 || r[1].Index != 129 || len(r[0].Reasons) != 2 || len(r[1].Reasons) != 1 {
		t.Errorf("rejected %+v", r)
	}
	if !v.IsRejected(0) || v.IsRejected(1) || !v.IsRejected(129) {
		t.Error("IsRejected")
	}
	if k := v.Keep(); len(k) != 128 || k[0] != 1 || k[127] != 128 {
		t.Errorf("keep %v", k)
	}
	if v.FailedBy(feature.Info) != 1 || v.FailedBy(feature.Critical) != 2 || v.FailedBy(feature.Warning) != 0 {
		t.Errorf("counts %+v", v.Counts())
	}
	kept := v.Rejected()[0].Reasons
	v.Reset(3, v.Rules()[:1])
	v.Close(nil)
	if len(v.Rejected()) != 0 || v.IsRejected(0) || len(v.Keep()) != 3 || v.Counts()[0].Failed != 0 {
		t.Error("a reset verdict remembers")
	}
	if kept[0].Rule != "count" {
		t.Error("kept reasons were overwritten")
	}
}

func TestPassed(t *testing.T) {
	for _, c := range []struct {
		Count
		mostly float64
		want   bool
	}{
		{Count{0, 0}, 1, true}, {Count{10, 0}, 1, true}, {Count{10, 1}, 1, false}, {Count{10, 1}, 0.9, true}, {Count{10, 2}, 0.9, false}, {Count{3, 3}, 0, true},
	} {
		if got := c.Passed(c.mostly); got != c.want {
			t.Errorf("%+v with mostly %v: %v", c.Count, c.mostly, got)
		}
	}
}

func TestBitmapRows(t *testing.T) {
	b := make(Bitmap, Words(200))
	want := []int{0, 63, 64, 127, 199}
	for _, i := range want {
		b.Set(i)
	}
	if got := slices.Collect(b.Rows()); !slices.Equal(got, want) || b.Count() != len(want) {
		t.Errorf("got %v", got)
	}
	for i := range b.Rows() {
		if i == 64 {
			break
		}
	}
}
