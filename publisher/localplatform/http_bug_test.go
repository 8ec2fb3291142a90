package localplatform

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The library recovers from a panic and tells its own log, which nobody reads.
func TestBugBehindHTTPIsSaid(t *testing.T) {
	var said bytes.Buffer
	w := &web{p: &Platform{log: slog.New(slog.NewTextHandler(&said, nil))}}
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got %v, want the request ended", got)
		}
		if !strings.Contains(said.String(), "our bug") {
			t.Errorf("got %q, want a line about it", said.String())
		}
	}()
	w.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) // without its connection
}
