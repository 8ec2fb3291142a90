package config

import (
	"cmp"
	"fmt"
	"slices"
)

// A stage is a step of the check. Within a file, problems stand in the order in which they are found out: a wrong name
// before what follows from it.
type stage byte

const (
	reading stage = iota
	references
	grammar
	meaning
	together // what several tables do to one another
)

// maxErrors is how many are shown: after so many mistakes the next one is news to nobody.
const maxErrors = 500

// A report gathers problems, of all files.
type report struct {
	stage    stage
	problems []*Problem
	errors   int
	files    []*source
	partial  bool // a file could not be read: what seems to be missing may stand there
}

func (r *report) add(severity Severity, code string, at place, format string, args ...any) *Problem {
	p := &Problem{Code: code, Severity: severity, Message: fmt.Sprintf(format, args...), at: at, stage: r.stage}
	if severity == Error {
		if r.errors++; r.errors > maxErrors {
			return p
		}
	}
	r.problems = append(r.problems, p)
	return p
}

// errorf reports an error at a place. The caller may add label, notes and a second place to what it returns.
func (r *report) errorf(code string, at place, format string, args ...any) *Problem {
	return r.add(Error, code, at, format, args...)
}

func (r *report) warnf(code string, at place, format string, args ...any) *Problem {
	return r.add(Warning, code, at, format, args...)
}

func (p *Problem) note(kind, format string, args ...any) {
	p.notes = append(p.notes, kind+": "+fmt.Sprintf(format, args...))
}

// replace says what to write instead of what stands at the place.
func (p *Problem) replace(with string) {
	if written := p.at.written(); written != "" {
		p.Fix = &Fix{Replace: written, With: with}
	}
}

// whole is the place of a problem that has none in the text.
func (s *source) whole() place { return place{s, nowhere} }

// sorted returns the problems in the order of the files, with their positions.
func (r *report) sorted() Problems {
	slices.SortStableFunc(r.problems, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.at.src.rank, b.at.src.rank), cmp.Compare(a.stage, b.stage), cmp.Compare(a.at.off, b.at.off))
	})
	out := make(Problems, len(r.problems))
	for i, p := range r.problems {
		p.File, p.files = p.at.src.name, len(r.files)
		p.more = max(r.errors-maxErrors, 0)
		p.Line, p.Column, p.EndColumn = p.at.cells()
		out[i] = *p
	}
	return out
}

// Count returns how many problems are errors, and how many are warnings.
func (p Problems) Count() (errors, warnings int) {
	for i := range p {
		if p[i].Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// near returns the one of known that name is most likely a slip of, "" if there is none or more than one.
func near(name string, known []string) string {
	best, limit := "", 1
	switch n := len([]rune(name)); {
	case n >= 8:
		limit = 3
	case n >= 4:
		limit = 2
	}
	tied := false
	for _, k := range known {
		d := distance(name, k, limit)
		switch {
		case d < limit || (d == limit && best == ""):
			best, limit, tied = k, d, false
		case d == limit && k != best:
			tied = true
		}
	}
	if tied {
		return ""
	}
	return best
}

// distance is how many letters must be put in, left out, changed or swapped to make a of b, at most limit+1.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > limit || len(y)-len(x) > limit {
		return limit + 1
	}
	before, above, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit+1 {
			return limit + 1
		}
		before, above, row = above, row, before
	}
	return min(above[len(y)], limit+1)
}
