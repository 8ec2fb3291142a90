package queue

// ahead is how much room is laid at once: zeros behind the end of the last segment, which the records to come are written
// over. A sync that does not change the length of a file costs half of one that does, for the length is in the file
// system's journal; and where little is written at a time, the journal writes more than the zeros do. On a start after a
// crash the zeros look like a write of which nothing came to the disk.
const ahead = 256 << 10

// lay makes room behind end, up to which the last segment was just written. The next sync makes it durable.
func (d *folder) lay(end int64) error {
	grown := end - d.laid
	if grown <= 0 || d.most == 0 {
		return nil
	}
	d.laid = end
	n := min(ahead, d.target-end, d.most-d.bytes())
	if n < 8*grown {
		return nil // zeros are written too: they pay only where they serve many commits
	}
	if err := write(d.f, make([]byte, n), end); isFull(err) {
		return d.f.Truncate(end) // it was not needed
	} else if err != nil {
		return err
	}
	d.laid += n
	return nil
}

// trim gives back the room that was laid and not used. Not durably: zeros behind the end do no harm.
func (d *folder) trim() error {
	if d.f == nil || len(d.segs) == 0 || d.laid <= d.last().size {
		return nil
	}
	d.laid = d.last().size
	return d.f.Truncate(d.laid)
}
