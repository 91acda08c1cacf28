package hooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// signature is the header webhook-signature of Standard Webhooks: for each key "v1," and the HMAC-SHA256 of id,
// timestamp (unix seconds) and body, joined by dots, in base64.
// (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme".)
func signature(keys [][]byte, id string, at time.Time, body []byte) string {
	signed := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signed[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signed, " ")
}
