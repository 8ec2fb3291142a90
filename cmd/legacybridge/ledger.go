package main

import "legacybridge/publisher/queue"

// total is the ledger of all devices together.
func total(accounts []queue.Account) queue.Account {
	sum := queue.Account{Device: "all"}
	for _, a := range accounts {
		sum.Read += a.Read
		sum.Filtered += a.Filtered
		sum.Delivered += a.Delivered
		sum.Dead += a.Dead
		sum.Dropped += a.Dropped
		sum.Waiting += a.Waiting
		sum.Absent += a.Absent
	}
	return sum
}
