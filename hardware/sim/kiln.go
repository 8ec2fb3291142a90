package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Kiln is the logger of a kiln: it appends rows with two temperatures and a draught to a CSV file, the way small loggers
// do. Now and then a sensor gives "---", a row is written in two parts, and every 20th row is damaged.
type Kiln struct{ Path string }

const (
	kilnHeader  = "time;zone_1;zone_2;pressure\n"
	kilnBroken  = 20 // every so many rows: a text where a number belongs
	kilnNoValue = 7  // every so many rows: zone_2 has none
	kilnInParts = 5  // every so many rows: written in two parts
)

// Run creates the file and appends a row per period until ctx is done, which is no error. A file that is there grows on.
func (k Kiln) Run(ctx context.Context, every time.Duration) (err error) {
	f, err := os.OpenFile(k.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("kiln: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("kiln: %w", err)
	}
	if info.Size() == 0 {
		if _, err := f.WriteString(kilnHeader); err != nil {
			return fmt.Errorf("kiln: %w", err)
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		row := kilnRow(n, time.Now())
		first := len(row)
		if n%kilnInParts == 0 {
			first /= 2
		}
		if _, err := f.WriteString(row[:first]); err != nil {
			return fmt.Errorf("kiln: %w", err)
		}
		if first < len(row) {
			select {
			case <-ctx.Done(): // the row is finished all the same: the next run goes on behind it
			case <-time.After(every / 4):
			}
		}
		if _, err := f.WriteString(row[first:]); err != nil {
			return fmt.Errorf("kiln: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// kilnRow is the nth row, counted from 1.
func kilnRow(n int, at time.Time) string {
	swing := math.Sin(float64(n) / 15)
	cells := []string{at.UTC().Format(time.DateTime), decimalComma(1043.5 + 8*swing), decimalComma(1038.2 + 6*swing), decimalComma(12.4 - swing)}
	if n%kilnNoValue == 0 {
		cells[2] = "---"
	}
	if n%kilnBroken == 0 {
		cells[1] = "ERR 7"
	}
	return strings.Join(cells, ";") + "\n"
}

func decimalComma(v float64) string {
	return strings.Replace(strconv.FormatFloat(v, 'f', 1, 64), ".", ",", 1)
}
