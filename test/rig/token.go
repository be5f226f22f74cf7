package rig

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"time"
)

// Token makes a SAS token that is good for ten minutes. resource is the text of sr
// exactly as it shall appear and be signed; key is base64; policy may be empty.
func Token(resource, key, policy string) string {
	return TokenUntil(resource, key, policy, time.Now().Add(10*time.Minute))
}

// TokenUntil makes a SAS token that ends at expires.
func TokenUntil(resource, key, policy string, expires time.Time) string {
	se := strconv.FormatInt(expires.Unix(), 10)
	token := "SharedAccessSignature sr=" + resource + "&sig=" + url.QueryEscape(Sign(resource, key, se)) + "&se=" + se
	if policy != "" {
		token += "&skn=" + policy
	}
	return token
}

// Sign gives the base64 signature over the literal texts of sr and se. A key that is
// not base64 signs as if it were empty.
func Sign(resource, key, se string) string {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		raw = nil
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(resource + "\n" + se))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
