// Package model holds the model of the presence protocol (DESIGN.md, part 3) for the model checker spin, and the test
// that runs it. It has no code of its own: see README.md, and check, which also runs by itself.
package model
