//go:build !unix

package main

// raiseFiles says that there is no such limit.
func raiseFiles() (int, bool) { return 0, false }

func outOfFiles(error) bool { return false }
