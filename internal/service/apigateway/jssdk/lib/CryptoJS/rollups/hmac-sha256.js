/* SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104) for signing requests, under the names of CryptoJS. */
(function (root) {
    'use strict';

    var K = [], H = [];
    (function () {
        // The fractional parts of the cube and square roots of the first primes.
        for (var n = 2; K.length < 64; n++) {
            var prime = true;
            for (var d = 2; d * d <= n; d++) {
                prime = prime && n % d !== 0;
            }
            if (prime) {
                if (H.length < 8) {
                    H.push(Math.sqrt(n) % 1 * 4294967296 | 0);
                }
                K.push(Math.cbrt(n) % 1 * 4294967296 | 0);
            }
        }
    })();

    function utf8(text) {
        var escaped = unescape(encodeURIComponent(text)), out = [];
        for (var i = 0; i < escaped.length; i++) {
            out.push(escaped.charCodeAt(i));
        }
        return out;
    }

    function bytesOf(value) {
        return typeof value === 'string' ? utf8(value) : value.bytes;
    }

    function rotate(x, n) {
        return x >>> n | x << 32 - n;
    }

    function sha256(bytes) {
        var message = bytes.slice(), bits = bytes.length * 8, h = H.slice(), w = [];
        message.push(0x80);
        while (message.length % 64 !== 56) {
            message.push(0);
        }
        for (var shift = 56; shift >= 0; shift -= 8) {
            message.push(shift >= 32 ? Math.floor(bits / 4294967296) >>> shift - 32 & 255 : bits >>> shift & 255);
        }
        for (var at = 0; at < message.length; at += 64) {
            for (var i = 0; i < 64; i++) {
                if (i < 16) {
                    var p = at + 4 * i;
                    w[i] = message[p] << 24 | message[p + 1] << 16 | message[p + 2] << 8 | message[p + 3];
                } else {
                    var a = w[i - 15], b = w[i - 2];
                    w[i] = (rotate(a, 7) ^ rotate(a, 18) ^ a >>> 3) + w[i - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ b >>> 10) + w[i - 16] | 0;
                }
            }
            var s = h.slice();
            for (i = 0; i < 64; i++) {
                var t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + (s[4] & s[5] ^ ~s[4] & s[6]) + K[i] + w[i] | 0;
                var t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + (s[0] & s[1] ^ s[0] & s[2] ^ s[1] & s[2]) | 0;
                s = [t1 + t2 | 0, s[0], s[1], s[2], s[3] + t1 | 0, s[4], s[5], s[6]];
            }
            for (i = 0; i < 8; i++) {
                h[i] = h[i] + s[i] | 0;
            }
        }
        var out = [];
        h.forEach(function (word) { out.push(word >>> 24, word >>> 16 & 255, word >>> 8 & 255, word & 255); });
        return out;
    }

    function digest(bytes) {
        return {
            bytes: bytes,
            toString: function () {
                return bytes.map(function (b) { return (b + 256).toString(16).slice(1); }).join('');
            }
        };
    }

    root.CryptoJS = {
        SHA256: function (message) {
            return digest(sha256(bytesOf(message)));
        },
        HmacSHA256: function (message, key) {
            var k = bytesOf(key);
            if (k.length > 64) {
                k = sha256(k);
            }
            function padded(mask) {
                var out = [];
                for (var i = 0; i < 64; i++) {
                    out.push((k[i] || 0) ^ mask);
                }
                return out;
            }
            return digest(sha256(padded(0x5c).concat(sha256(padded(0x36).concat(bytesOf(message))))));
        },
        enc: { Hex: { stringify: function (d) { return d.toString(); } } }
    };
})(typeof window !== 'undefined' ? window : globalThis);
