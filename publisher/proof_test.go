package publisher

import "os"

// proof returns how large a proof is to be. `go test ./...` must stay short, CI gives the figures that the README quotes
// (PROOF=ci), and `make soak` those that take hours (PROOF=soak).
func proof(small, ci, soak int) int {
	switch os.Getenv("PROOF") {
	case "ci":
		return ci
	case "soak":
		return soak
	}
	return small
}
