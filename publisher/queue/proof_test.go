package queue_test

import "os"

// proof is how much a proof does: little by default, what is demanded of CI with PROOF=ci, and PROOF=soak takes hours.
func proof(small, ci, soak int) int {
	switch os.Getenv("PROOF") {
	case "ci":
		return ci
	case "soak":
		return soak
	}
	if race {
		return max(1, small/10)
	}
	return small
}
