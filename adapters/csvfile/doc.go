// Package csvfile follows CSV files that other programs write.
package csvfile
