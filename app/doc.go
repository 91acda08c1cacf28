// Package app is everything an app's author sees. It loads an app folder (SPEC 1) and finds the route or script for a
// request. It runs event handlers, connection scripts, HTTP handlers and jobs with the functions of SPEC 1.1 and 1.3.
//
// App is one loaded folder and never changes. Server holds the current one and serves it over HTTP. Scripts keeps the
// scripts that were registered over HTTP, shared by all nodes through Redis.
//
// Goroutines: there is one for each connection script, from connect to the script's end. With Config.Dev one watches
// the folder. One in Scripts looks whether Redis holds other scripts than this node. Server.Close waits for all. A
// timer each, only while there is cause, ends turns that are over and tells of dropped log lines. Two look after
// alarms: of tokens that expire, and of timers and jobs. Event handlers run in the goroutine of their connection
// (wsconn). Timers run in one that is there while some of the connection are due. HTTP handlers run in that of the
// request, and each run of a job in one of its own.
//
// The package never writes to a socket but through hub and wsconn, keeps no *http.Request beyond the upgrade, and holds
// no lock while Lua runs.
package app
