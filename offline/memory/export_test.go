package memory

import "time"

// Age makes every file look older.
func (t *table) Age(by time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for path, f := range t.files {
		f.written -= by.Microseconds()
		t.files[path] = f
	}
}
