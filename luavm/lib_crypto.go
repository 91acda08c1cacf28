package luavm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	hexadecimal "encoding/hex"

	"github.com/google/uuid"
	lua "github.com/yuin/gopher-lua"
)

var cryptoFunctions = map[string]lua.LGFunction{
	"uuid":          cryptoUUID,
	"sha256":        cryptoSHA256,
	"hmac_sha256":   cryptoHMAC,
	"base64_encode": cryptoBase64Encode,
	"base64_decode": cryptoBase64Decode,
}

// cryptoUUID gives a random UUID, version 4.
func cryptoUUID(L *lua.LState) int {
	L.Push(lua.LString(uuid.NewString()))
	return 1
}

// cryptoSHA256 gives the hash in hexadecimal.
func cryptoSHA256(L *lua.LState) int {
	s := checkString(L, 1)
	Of(L).spend(L, 10+len(s)>>4)
	sum := sha256.Sum256([]byte(s))
	L.Push(lua.LString(hexadecimal.EncodeToString(sum[:])))
	return 1
}

// cryptoHMAC takes key and text and gives the code in hexadecimal.
func cryptoHMAC(L *lua.LState) int {
	key, s := checkString(L, 1), checkString(L, 2)
	Of(L).spend(L, 40+(len(key)+len(s))>>4)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(s))
	L.Push(lua.LString(hexadecimal.EncodeToString(mac.Sum(nil))))
	return 1
}

func cryptoBase64Encode(L *lua.LState) int {
	vm, s := Of(L), checkString(L, 1)
	vm.chargeString(L, base64.StdEncoding.EncodedLen(len(s)))
	L.Push(lua.LString(base64.StdEncoding.EncodeToString([]byte(s))))
	return 1
}

// cryptoBase64Decode gives the bytes, or nil and a message. It takes the
// standard and the URL alphabet, with and without padding.
func cryptoBase64Decode(L *lua.LState) int {
	vm, s := Of(L), checkString(L, 1)
	vm.chargeString(L, len(s))
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding,
		base64.RawURLEncoding} {
		if b, err := e.DecodeString(s); err == nil {
			L.Push(lua.LString(b))
			return 1
		}
	}
	L.Push(lua.LNil)
	L.Push(lua.LString("not base64"))
	return 2
}
