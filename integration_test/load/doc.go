// Package load measures what a cluster costs: CPU seconds for each million deliveries, memory for each connection,
// frames for each join. It starts two nodes and a Redis of its own for every run, on Linux. It drives them with a crowd
// of clients on one goroutine and one epoll. So clients cost little more than the kernel's share.
//
//	go test ./integration_test/load -run '^$' -bench . -benchtime 1x -timeout 2h        five runs of each, the medians
//	go test ./integration_test/load -run '^$' -bench Fanout -benchtime 1x -runs 1 -size 0.1
//
// CPU comes from /proc in steps of 10 ms; clients, nodes and Redis share the machine. So a bare time says little.
// Figures are CPU seconds for each unit of work, and multiples of the floor. The floor is one 150-byte write for each
// delivery, measured in the same run. Where a process may not open enough files, children have parts of the crowd, and
// there are more nodes. Only loopback is used, and every run is bounded in clients and time.
package load
