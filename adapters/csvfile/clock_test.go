package csvfile

import (
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		format, in, want string // want "" = refused
	}{
		{"%Y-%m-%d %H:%M:%S", "2026-05-11 08:04:31", "2026-05-11T08:04:31Z"},
		{"%Y-%m-%d %H:%M:%S", " 2026-5-1  8:04:31 ", "2026-05-01T08:04:31Z"},
		{"%Y-%m-%d %H:%M:%S", "2026-05-11 08:04", ""},
		{"%Y-%m-%d %H:%M:%S", "2026-05-11 08:04:31x", ""},
		{"%Y-%m-%d %H:%M:%S", "2026-02-29 00:00:00", ""},
		{"%Y-%m-%d %H:%M:%S", "2028-02-29 00:00:00", "2028-02-29T00:00:00Z"},
		{"%Y-%m-%d %H:%M:%S", "2026-04-31 00:00:00", ""},
		{"%Y-%m-%d %H:%M:%S", "2026-05-11 24:00:00", ""},
		{"%Y-%m-%d %H:%M:%S", "2026-05-11 23:59:60", "2026-05-12T00:00:00Z"},
		{"%d.%m.%Y %H:%M", "01.12.1999 23:59", "1999-12-01T23:59:00Z"},
		{"%d.%m.%y %R", "01.12.26 23:59", "2026-12-01T23:59:00Z"},
		{"%d/%m/%y", "01/12/69", "1969-12-01T00:00:00Z"},
		{"%Y%m%d%H%M%S", "20260511080431", "2026-05-11T08:04:31Z"},
		{"%F %T.%f", "2026-05-11 08:04:31.25", "2026-05-11T08:04:31.25Z"},
		{"%F %T,%L", "2026-05-11 08:04:31,025", "2026-05-11T08:04:31.025Z"},
		{"%D %I:%M %p", "05/11/26 12:05 am", "2026-05-11T00:05:00Z"},
		{"%D %I:%M %p", "05/11/26 12:05 PM", "2026-05-11T12:05:00Z"},
		{"%a %d %b %Y", "Mon 11 may 2026", "2026-05-11T00:00:00Z"},
		{"%A, %d. %B %Y", "Monday, 11. September 2026", "2026-09-11T00:00:00Z"},
		{"%Y-%j", "2026-131", "2026-05-11T00:00:00Z"},
		{"%Y-%j", "2026-366", ""},
		{"%FT%T%z", "2026-05-11T08:04:31+02:00", "2026-05-11T06:04:31Z"},
		{"%FT%T%z", "2026-05-11T08:04:31-0330", "2026-05-11T11:34:31Z"},
		{"%FT%T%z", "2026-05-11T08:04:31Z", "2026-05-11T08:04:31Z"},
		{"%s", "1778486671", "2026-05-11T08:04:31Z"},
		{"100%% %F", "100% 2026-05-11", "2026-05-11T00:00:00Z"},
		{"%F", "", ""},
		{"%Y-%m-%d", "-026-05-11", ""},
	} {
		k, err := newClock(&Time{Columns: []string{"t"}, Format: c.format})
		if err != nil {
			t.Errorf("%q: %v", c.format, err)
			continue
		}
		at, bad := k.at(c.in)
		got := at.Format(time.RFC3339Nano)
		if c.want == "" {
			if bad.code != "CSV008" {
				t.Errorf("%q as %q: got %s, %q, want CSV008", c.in, c.format, got, bad.code)
			}
			continue
		}
		if bad.code != "" || got != c.want {
			t.Errorf("%q as %q: got %s, %s, want %s", c.in, c.format, got, bad.why, c.want)
		}
	}
}

func TestTimeFormatsThatSayTooLittleAreRefused(t *testing.T) {
	for _, format := range []string{"%H:%M", "%Y-%m", "%Q", "%Y-%m-%d %", "%Y-%m-%d %I:%M", ""} {
		if _, err := newClock(&Time{Columns: []string{"t"}, Format: format}); err == nil {
			t.Errorf("%q: got no error, want one", format)
		}
	}
	if err := CheckTime(Time{Columns: []string{"t"}, Format: "%F", DST: "third"}); err == nil {
		t.Error(`dst "third": got no error, want one`)
	}
}

func TestSummerTime(t *testing.T) {
	for _, c := range []struct {
		zone, dst, in, want, code string
	}{
		{"Europe/Berlin", "", "2026-03-29 01:59:59", "2026-03-29T00:59:59Z", ""},
		{"Europe/Berlin", "first", "2026-03-29 02:00:00", "", "CSV009"},
		{"Europe/Berlin", "second", "2026-03-29 02:59:59", "", "CSV009"},
		{"Europe/Berlin", "", "2026-03-29 03:00:00", "2026-03-29T01:00:00Z", ""},
		{"Europe/Berlin", "", "2026-10-25 01:59:59", "2026-10-24T23:59:59Z", ""},
		{"Europe/Berlin", "", "2026-10-25 02:00:00", "", "CSV010"},
		{"Europe/Berlin", "reject", "2026-10-25 02:59:59", "", "CSV010"},
		{"Europe/Berlin", "first", "2026-10-25 02:30:00", "2026-10-25T00:30:00Z", ""},
		{"Europe/Berlin", "second", "2026-10-25 02:30:00", "2026-10-25T01:30:00Z", ""},
		{"Europe/Berlin", "", "2026-10-25 03:00:00", "2026-10-25T02:00:00Z", ""},
		{"Asia/Seoul", "", "2026-05-11 08:04:31", "2026-05-10T23:04:31Z", ""},
		{"Australia/Lord_Howe", "", "2026-10-04 02:15:00", "", "CSV009"}, // half an hour only
		{"Australia/Lord_Howe", "", "2026-10-04 02:30:00", "2026-10-03T15:30:00Z", ""},
		{"Australia/Lord_Howe", "second", "2026-04-05 01:45:00", "2026-04-04T15:15:00Z", ""},
		{"America/New_York", "first", "1969-10-26 01:30:00", "1969-10-26T05:30:00Z", ""},
	} {
		k, err := newClock(&Time{Columns: []string{"t"}, Format: "%F %T", Zone: zone(t, c.zone), DST: c.dst})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from memory
			at, bad := k.at(c.in)
			if got := at.Format(time.RFC3339); bad.code != c.code || c.code == "" && got != c.want {
				t.Errorf("%s in %s, dst %q: got %s, %q, want %s, %q", c.in, c.zone, c.dst, got, bad.code, c.want, c.code)
			}
		}
	}
}

// Every quarter of an hour of a year, as the standard library has it.
func TestTimesAgreeWithTheStandardLibrary(t *testing.T) {
	z := zone(t, "Europe/Berlin")
	k, err := newClock(&Time{Columns: []string{"t"}, Format: "%F %T", Zone: z, DST: "reject"})
	if err != nil {
		t.Fatal(err)
	}
	rejected := 0
	for at := time.Date(2026, 1, 1, 0, 0, 0, 0, z); at.Year() == 2026; at = at.Add(7*time.Minute + 30*time.Second) {
		got, bad := k.at(at.Format(time.DateTime))
		switch {
		case bad.code == "CSV010":
			rejected++
		case bad.code != "" || !got.Equal(at):
			t.Fatalf("%v: got %v, %s", at, got, bad.why)
		}
	}
	if rejected != 16 {
		t.Errorf("got %d times rejected, want the 16 of the doubled hour", rejected)
	}
}

func BenchmarkTime(b *testing.B) {
	k, err := newClock(&Time{Columns: []string{"t"}, Format: "%Y-%m-%d %H:%M:%S", Zone: zone(b, "Asia/Seoul")})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		k.at("2026-05-11 08:04:31")
	}
}
