package localplatform_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answers sends text as it is and returns the statuses of what comes back until the connection ends, or for as many
// answers as are wanted.
func answers(t *testing.T, s *site, text string, most int) (all []int) {
	t.Helper()
	c := dial(t, s)
	go io.WriteString(c, text) // it may be turned down before it has come whole
	r := bufio.NewReader(c)
	for len(all) < most {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		all = append(all, resp.StatusCode)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil { // reset, with what we sent too much
			return all
		}
	}
	return all
}

func TestHTTPThatIsHostileIsAnsweredOrClosed(t *testing.T) {
	s := start(t, nil)
	key, token := s.Key()
	login := "Host: x\r\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"+token.Reveal())) + "\r\n"
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\n" + login + "\r\n" }
	post := func(path, header, body string) string {
		return "POST /api/v0002/" + path + " HTTP/1.1\r\n" + login + "Content-Type: application/json\r\n" + header + "\r\n" + body
	}
	sized := func(path, body string) string {
		return post(path, fmt.Sprintf("Content-Length: %d\r\n", len(body)), body)
	}
	const types = "/api/v0002/device/types"
	for name, c := range map[string]struct {
		text string
		want []int
	}{
		"two at once":                  {get(types) + get(types), []int{200, 200}},
		"a good one behind a bad one":  {get("/nothing") + get(types), []int{404, 200}},
		"chunks":                       {post("device/types", "Transfer-Encoding: chunked\r\n", "9\r\n{\"id\":\"a\"\r\n1\r\n}\r\n0\r\n\r\n"), []int{201}},
		"chunks that are none":         {post("device/types", "Transfer-Encoding: chunked\r\n", "zz\r\n{}"), []int{400}},
		"an endless chunk":             {post("device/types", "Transfer-Encoding: chunked\r\n", "ffffffff\r\n"+strings.Repeat("x", 200<<10)), []int{413}},
		"a body that was asked for":    {post("device/types", "Expect: 100-continue\r\nContent-Length: 10\r\n", "{\"id\":\"b\"}"), []int{100, 201}},
		"an unknown expectation":       {post("device/types", "Expect: tea\r\nContent-Length: 2\r\n", "{}"), []int{417}},
		"another transfer encoding":    {post("device/types", "Transfer-Encoding: gzip\r\n", "x"), []int{501}},
		"a negative length":            {post("device/types", "Content-Length: -1\r\n", ""), []int{400}},
		"a length beyond all numbers":  {post("device/types", "Content-Length: 99999999999999999999\r\n", ""), []int{400}},
		"two lengths":                  {post("device/types", "Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), []int{400}},
		"a body too long":              {sized("device/types", "\""+strings.Repeat("x", 200<<10)+"\""), []int{413}},
		"a body of the deepest kind":   {sized("device/types", strings.Repeat("[", 100_000)), []int{400}},
		"metadata of the deepest kind": {sized("device/types", `{"id":"deep","metadata":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+"}"), []int{400}},
		"deep metadata":                {sized("device/types", `{"id":"deep","metadata":{"a":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+"}}"), []int{201}},
		"half a surrogate":             {sized("device/types", `{"id":"half","description":"\ud800"}`), []int{201}},
		"a name with NUL":              {sized("device/types", `{"id":"a\u0000b"}`), []int{400}},
		"bulk of nothing":              {sized("bulk/devices/add", `[]`), []int{400}},
		"bulk of anything":             {sized("bulk/devices/add", `[null,1,"x",[],{},{"typeId":3}]`), []int{202}},
		"dots":                         {get("/api/v0002/device/../device/types"), []int{404}},
		"dots in disguise":             {get("/api/v0002/%2e%2e/device/types"), []int{404}},
		"a name that is dots":          {get(types + "/../devices"), []int{404}},
		"a slash in disguise":          {get(types + "/a%2fb"), []int{404}},
		"two slashes":                  {get("/api/v0002//device/types"), []int{404}},
		"a slash at the end":           {get(types + "/"), []int{404}},
		"half an escape":               {get(types + "/%2"), []int{400}},
		"NUL in disguise":              {get(types + "/%00"), []int{404}},
		"a name that is not UTF-8":     {get(types + "/%ff%fe"), []int{404}},
		"a name of another alphabet":   {get(types + "/%ea%b0%80"), []int{404}},
		"bytes above ASCII":            {get(types + "/\xea\xb0\x80"), []int{404}},
		"a very long name":             {get(types + "/" + strings.Repeat("x", 10_000)), []int{404}},
		"a limit beyond all numbers":   {get(types + "?_limit=99999999999999999999"), []int{400}},
		"a negative limit":             {get(types + "?_limit=-1"), []int{400}},
		"a bookmark of nobody":         {get("/api/v0002/bulk/devices?_bookmark=%ff%00"), []int{400}},
		"half a query":                 {get(types + "?%"), []int{400}},
		"a method of nobody":           {strings.Replace(get(types), "GET", "BREW", 1), []int{405}},
		"a method of proxies":          {"CONNECT x:443 HTTP/1.1\r\n" + login + "\r\n", []int{404}},
		"everything":                   {"OPTIONS * HTTP/1.1\r\n" + login + "\r\n", []int{404}},
		"a whole address":              {get("http://x" + types), []int{200}},
		"no host":                      {"GET " + types + " HTTP/1.1\r\n\r\n", []int{400}},
		"two hosts":                    {"GET " + types + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []int{400}},
		"no login":                     {"GET " + types + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{401}},
		"half a login":                 {"GET " + types + " HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %%%\r\n\r\n", []int{401}},
		"HTTP 1.0":                     {"GET " + types + " HTTP/1.0\r\n" + login + "\r\n", []int{200}},
		"HTTP 0.9":                     {"GET " + types + "\r\n", []int{400}},
		"HTTP 2":                       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{404}},
		"HTTP 3":                       {"GET " + types + " HTTP/3.0\r\n" + login + "\r\n", []int{505}},
		"a method in small letters":    {"get " + types + " HTTP/1.1\r\n" + login + "\r\n", nil},
		"many headers":                 {"GET " + types + " HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 100_000), []int{431}},
		"an endless line":              {"GET /" + strings.Repeat("x", 1<<20), []int{431}},
		"a header with NUL":            {"GET " + types + " HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", []int{400}},
		"a header without a name":      {"GET " + types + " HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n", []int{400}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := answers(t, s, c.text, max(1, len(c.want))); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if got := s.log.find("msg=an HTTP request was not answered; this is our bug, please report it"); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	if got := answers(t, s, get(types), 1); len(got) != 1 || got[0] != 200 {
		t.Errorf("got %v after all that, want 200", got)
	}
}

func TestViolationsSpeakOfTheRequestNotOfOurProgram(t *testing.T) {
	r := restOf(t, start(t, nil))
	for body, want := range map[string]string{`{"id":"x","description":1}`: "description: number does not fit here", `[]`: "the body: array does not fit here"} {
		reply := fmt.Sprint(r.want(400, "POST", "device/types", body))
		if !strings.Contains(reply, want) || strings.Contains(reply, "Go ") {
			t.Errorf("%s: got %s, want %q", body, reply, want)
		}
	}
}
