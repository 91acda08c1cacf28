//go:build race

package nodetest

// raceEnabled: the tests look for data races, so the node does.
const raceEnabled = true
