package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"legacybridge/publisher/wiotp"
)

// maxSecret is far above any token or key file.
const maxSecret = 1 << 20

// secretForms are the ways to say where a secret is; exactly one is used.
var secretForms = []key{{name: "credential", kind: anyText}, {name: "file", kind: anyText}, {name: "env", kind: anyText}}

// secret reads a secret and keeps it as the node's value. One that cannot be read is a warning here, for check may run
// on another machine, and ends run.
func (l *loader) secret(n *node) {
	if !n.table {
		n.bad = true
		p := l.errorf("SEC004", n.value(), "%q does not take the secret itself", n.name)
		p.label = "name the place where it is kept"
		p.note("fix", "%s = { file = \"/etc/legacybridge/secrets/%s\" }", n.name, n.name)
		return
	}
	before := len(l.problems)
	l.check(n, secretForms, 0, "this secret")
	l.veil(n, before)
	if len(n.kids) != 1 {
		n.bad = true
		p := l.errorf("KEY004", n.value(), "a secret is in exactly one place")
		p.label = "one of credential, file and env"
		return
	}
	form := n.kids[0]
	where, ok := form.parsed.(string)
	if !ok || form.bad {
		n.bad = true
		return
	}
	text, err := l.readSecret(form, where)
	switch text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"); {
	case form.bad:
		n.bad = true
	case err != nil:
		l.unreadable(form, err)
	case text == "":
		l.unreadable(form, errors.New("it is empty"))
	default:
		n.parsed = wiotp.Token(text)
	}
}

func (l *loader) unreadable(n *node, err error) {
	p := l.warnf("SEC001", n.value(), "%s cannot be read: %v", placeText(n), err)
	p.label, p.hide = "run would not start", veiled(n)
	p.BlocksRun = true
}

func (l *loader) readSecret(form *node, where string) (string, error) {
	switch form.name {
	case "credential":
		if where == "" || where != filepath.Base(where) {
			form.bad = true
			p := l.errorf("SEC006", form.value(), "%s is not the name of a credential", placeText(form))
			p.label, p.hide = "a name without folders, as in LoadCredential=", veiled(form)
			return "", nil
		}
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", errors.New("the service manager hands out no credentials here (CREDENTIALS_DIRECTORY is not set)")
		}
		text, err := readFile(filepath.Join(dir, where), maxSecret)
		return string(text), err
	case "env":
		text, ok := os.LookupEnv(where)
		if !ok {
			return "", errors.New("the environment variable is not set")
		}
		p := l.warnf("SEC003", form.value(), "a secret in an environment variable can be seen by other programs")
		p.label = "safer: { credential = … } or { file = … }"
		return text, nil
	default:
		path := l.path(form, where)
		if info, err := os.Stat(path); err == nil && !l.private(form, info) {
			return "", nil
		}
		text, err := readFile(path, maxSecret)
		return string(text), err
	}
}

// private refuses a secret file that others can read, or that someone else could have put there.
func (l *loader) private(form *node, info fs.FileInfo) bool {
	written := form.value().writtenOr(form.name)
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		form.bad = true
		p := l.errorf("SEC002", form.value(), "others on this machine can read or change %s (mode %04o)", written, mode)
		p.label = "only its owner may have access"
		p.note("fix", "chmod 600 %s", strings.Trim(written, `"'`))
		return false
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok && sys.Uid != 0 && int(sys.Uid) != os.Geteuid() {
		form.bad = true
		p := l.errorf("SEC002", form.value(), "%s belongs to another user (id %d)", written, sys.Uid)
		p.label = "root or the service's own user must own it"
		return false
	}
	return true
}
