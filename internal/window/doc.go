// Package window cuts event time into tumbling windows and says when one may be
// closed.
//
// The one rule: a window belongs to event time alone. The wall clock is only
// ever asked how long a partition that has nothing more to read has been quiet.
//
// Read Size first, then Watermark.
package window
