package localplatform_test

import "os"

// proof is the size of a proof by the environment variable PROOF: unset, "ci" or "soak".
func proof(small, ci, soak int) int {
	switch os.Getenv("PROOF") {
	case "ci":
		return ci
	case "soak":
		return soak
	}
	return small
}
