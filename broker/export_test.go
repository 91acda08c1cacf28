package broker

// UnsubscribeDelay is how long an UNSUBSCRIBE waits.
const UnsubscribeDelay = unsubscribeDelay
