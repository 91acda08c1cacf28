package broker

// LazyAfter is how long an UNSUBSCRIBE waits.
const LazyAfter = lazyAfter
