package queue

import "fmt"

// fail ends the queue: a disk that failed once is not trusted again by this process.
func (q *Queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return
	}
	q.err = fmt.Errorf("disk failed: %w", err)
	close(q.failed)
	q.kick()
	for _, r := range q.readers {
		select {
		case r.more <- struct{}{}:
		default:
		}
	}
}

// answerAll tells those who still wait that the queue has ended.
func (q *Queue) answerAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.err
	if err == nil {
		err = errClosed
	}
	q.closing = true
	for _, list := range [][]*request{q.taken, q.held, q.pending} {
		for _, r := range list {
			if r != nil {
				r.answer(err)
			}
		}
	}
	q.taken, q.held, q.pending = nil, nil, nil
}

// Failed is closed when the disk has failed; Err says how. The process must then end (exit 74).
func (q *Queue) Failed() <-chan struct{} { return q.failed }

// Err is why Failed was closed.
func (q *Queue) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}
