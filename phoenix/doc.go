// Package phoenix is the wire of Phoenix Channels, as clients of Phoenix 1.8 and of Supabase speak it. It has frames of
// both serializers, what a message means while its topic is joined or not, and presence by refs.
//
// It owns the rules and the bytes. All of it is pure: it runs no goroutine, does no I/O, keeps nothing, and never
// decides who may join or who is present.
//
// The rules are those of phoenixframework/phoenix, lib/phoenix/socket.ex and socket/serializers, and of the JavaScript
// client, assets/js/phoenix.
package phoenix
