package broker

// command is one SUBSCRIBE or UNSUBSCRIBE, plain or sharded, on its way to Redis. All topics of a
// sharded one are in one slot.
type command struct {
	order order
	slot  int
	names []string
}

// commands is o for topics, perCommand in each.
func commands(o order, topics []*topic) []command {
	var cmds []command
	for len(topics) > 0 {
		n := min(len(topics), perCommand)
		names := make([]string, n)
		for i, t := range topics[:n] {
			names[i] = t.name
		}
		cmds = append(cmds, command{o, topics[0].slot, names})
		topics = topics[n:]
	}
	return cmds
}

// pending are the commands of a sharded connection whose answers are due, oldest first, the names answered already cut
// off. Redis answers in their order: each name with a message of its own, or the whole command with one error that does
// not say which command it means. In between it may tell of subscriptions that it ended by itself, in the form of an
// answer to SUNSUBSCRIBE.
//
// So one case is mistaken: such a notice comes while our own SUNSUBSCRIBE of the same topic is on its way. It is then
// taken for the answer, and the answer, when it comes, for a notice or for the error of another command. Either
// makes topics ask again, and be told that they were resubscribed; none is believed to be subscribed that is not.
type pending []command

// answered takes the answer, or notice, that name is subscribed or unsubscribed.
func (p *pending) answered(o order, name string) {
	if len(*p) == 0 {
		return
	}
	head := &(*p)[0]
	if head.order != o || head.names[0] != name {
		return
	}
	if head.names = head.names[1:]; len(head.names) == 0 {
		p.pop()
	}
}

// refused takes an error that stands for the answers to a command, and returns that command.
// slot: the one that the error names, or -1.
func (p *pending) refused(slot int) (command, bool) {
	if len(*p) == 0 || slot >= 0 && (*p)[0].slot != slot {
		return command{}, false
	}
	head := (*p)[0]
	p.pop()
	return head, true
}

func (p *pending) pop() {
	(*p)[0] = command{}
	if *p = (*p)[1:]; len(*p) == 0 {
		*p = nil
	}
}
