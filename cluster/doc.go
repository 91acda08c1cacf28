// Package cluster keeps this node's place among the nodes. That is its lease in Redis, the registry of live nodes, the
// reaper of dead ones, and calls from node to node. It also tells which node has a period of a job.
//
// It owns the keys {nodes}… and the topics t:node:…. It runs one goroutine that beats (renews the lease, reads the
// registry, sends itself an echo), and one that reaps. It runs a bounded number for calls that answer. It never touches
// presence entries: the reaper hands each channel of a dead incarnation to a Remover.
package cluster
