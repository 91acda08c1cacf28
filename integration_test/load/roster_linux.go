package load

import (
	"bytes"
	"strconv"
)

// roster is what each client knows of the users of one channel, by scanning frames for their names: package roster
// would cost the driver more than the nodes that it measures.
type roster struct {
	users, clients int
	here           [][]uint64 // by client: a bit for each user
	count          []int      // of users here, by client
}

func newRoster(clients, users int) *roster {
	r := &roster{users: users, clients: clients, here: make([][]uint64, clients), count: make([]int, clients)}
	for i := range r.here {
		r.here[i] = make([]uint64, (users+63)/64)
	}
	return r
}

var (
	namePrefix = []byte(`"user-`)
	leavesKey  = []byte(`"leaves":{`)
)

// frame takes a presence frame, or an event that a script has passed on.
func (r *roster) frame(client int, payload []byte) {
	if client >= r.clients {
		return
	}
	joins, leaves := payload, []byte(nil)
	if at := bytes.Index(payload, leavesKey); at >= 0 {
		joins, leaves = payload[:at], payload[at:]
	}
	r.each(joins, func(user int) { r.set(client, user, true) })
	r.each(leaves, func(user int) { r.set(client, user, false) })
}

func (r *roster) each(text []byte, f func(user int)) {
	for {
		at := bytes.Index(text, namePrefix)
		if at < 0 || len(text) < at+12 {
			return
		}
		text = text[at+len(namePrefix):]
		if user, err := strconv.Atoi(string(text[:6])); err == nil && user < r.users && text[6] == '"' {
			f(user)
		}
	}
}

func (r *roster) set(client, user int, here bool) {
	word, bit := user/64, uint64(1)<<(user%64)
	had := r.here[client][word]&bit != 0
	switch {
	case here && !had:
		r.here[client][word] |= bit
		r.count[client]++
	case !here && had:
		r.here[client][word] &^= bit
		r.count[client]--
	}
}

// all tells whether the clients that step chooses know of exactly n users.
func (r *roster) all(n int, who func(client int) bool) bool {
	for i, c := range r.count {
		if c != n && who(i) {
			return false
		}
	}
	return true
}
