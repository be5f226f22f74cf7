package event

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Text gives a value of any type as the text that other transports would have carried:
// numbers in decimal, a uuid with hyphens, binary as it stands if it is UTF-8 and else
// in base64, a timestamp in ISO 8601. Null is "", and so is what is composed.
func Text(v amqpwire.Value) string {
	switch v.Kind() {
	case amqpwire.KindBool:
		b, _ := v.AsBool()
		return strconv.FormatBool(b)
	case amqpwire.KindUbyte, amqpwire.KindUshort, amqpwire.KindUint, amqpwire.KindUlong:
		n, _ := v.AsUint()
		return strconv.FormatUint(n, 10)
	case amqpwire.KindByte, amqpwire.KindShort, amqpwire.KindInt, amqpwire.KindLong:
		n, _ := v.AsInt()
		return strconv.FormatInt(n, 10)
	case amqpwire.KindFloat, amqpwire.KindDouble:
		f, _ := v.AsFloat()
		return floatText(f, v.Kind())
	case amqpwire.KindChar:
		r, _ := v.AsChar()
		return string(r)
	case amqpwire.KindTimestamp:
		ms, _ := v.AsTimestamp()
		return momentText(ms)
	case amqpwire.KindUUID:
		return uuidText(v.Raw())
	case amqpwire.KindString, amqpwire.KindSymbol:
		return strings.ToValidUTF8(string(v.Raw()), "\uFFFD")
	case amqpwire.KindBinary:
		if utf8.Valid(v.Raw()) {
			return string(v.Raw())
		}
		return base64.StdEncoding.EncodeToString(v.Raw())
	case amqpwire.KindDecimal32, amqpwire.KindDecimal64, amqpwire.KindDecimal128:
		return hex.EncodeToString(v.Raw())
	case amqpwire.KindNull, amqpwire.KindList, amqpwire.KindMap, amqpwire.KindArray, amqpwire.KindDescribed:
	}
	return ""
}

// floatText is the shortest decimal that reads as the same number.
func floatText(f float64, k amqpwire.Kind) string {
	bits := 64
	if k == amqpwire.KindFloat {
		bits = 32
	}
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strconv.FormatFloat(f, 'g', -1, 64) // +Inf, -Inf
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}

// uuidText is RFC 9562 4, lower case.
func uuidText(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
