package queue

// ahead is how much room is laid at once: zeros behind the end of the last segment, which the records to come are written
// over. A sync that does not change the length of a file costs half of one that does, for the length is in the file
// system's journal; and where little is written at a time, the journal writes more than the zeros do. What a crash leaves of
// them serves on.
const ahead = 256 << 10

// lay makes room behind end, up to which n bytes were just written. The next sync makes it durable.
func (d *folder) lay(end, n int64) error {
	if end <= d.laid || d.most == 0 || d.tight {
		return nil
	}
	d.laid = end
	room := min(ahead, d.target-end, d.most-d.bytes()-n)
	if room < 8*n {
		return nil // zeros are written too: they pay only where they serve many commits
	}
	if err := write(d.f, make([]byte, room), end); isFull(err) {
		d.tight = true
		return d.f.Truncate(end) // it was not needed
	} else if err != nil {
		return err
	}
	d.laid += room
	return nil
}

// trim gives back the room that was laid and not used. Not durably: zeros behind the end do no harm.
func (d *folder) trim() error {
	if d.f == nil || len(d.segs) == 0 || d.laid <= d.last().size {
		return nil
	}
	d.laid = d.last().size
	if err := d.f.Truncate(d.laid); !isFull(err) {
		return err
	}
	return nil
}
