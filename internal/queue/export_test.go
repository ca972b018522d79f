package queue

import "time"

// AckWait has consumers that begin from here on deliver again what was not
// acknowledged for d.
func (q *Queue) AckWait(d time.Duration) { q.ackWait = d }
