package brume;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads JSON into Map, List, String, Integer, Long, BigInteger, BigDecimal, Double (for what is no number), Boolean and null. It
 * takes what Lambda's reader takes beyond the standard: single quotes, names without quotes, zeros before a number, NaN and
 * infinities, control characters in strings, and a backslash before any character. What follows the value is not looked at.
 */
final class Json {
    static final int MAX_DEPTH = 1000;

    private final String text;
    private int at;
    private int depth;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(byte[] utf8) {
        Json json = new Json(new String(utf8, StandardCharsets.UTF_8));
        if (json.peek() < 0) {
            throw new BadJson("No content to map due to end-of-input");
        }
        return json.value();
    }

    /** The text is not JSON. */
    static final class BadJson extends RuntimeException {
        private static final long serialVersionUID = 1;

        BadJson(String message) {
            super(message);
        }
    }

    private BadJson bad(String what) {
        int line = 1;
        int start = 0;
        for (int i = 0; i < Math.min(at, text.length()); i++) {
            if (text.charAt(i) == '\n') {
                line++;
                start = i + 1;
            }
        }
        return new BadJson(what + "\n at [Source: (ByteArrayInputStream); line: " + line + ", column: " + (at - start + 1) + "]");
    }

    /** Returns the next character that is no space, or -1. */
    private int peek() {
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\ufeff') {
                return c;
            }
            at++;
        }
        return -1;
    }

    private BadJson unexpected(String wanted) {
        int c = peek();
        return bad(c < 0 ? "Unexpected end-of-input: " + wanted : "Unexpected character ('" + (char) c + "' (code " + c + ")): " + wanted);
    }

    private Object value() {
        int c = peek();
        switch (c) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
            case '\'':
                return string();
            default:
                return c == '-' || c == '+' || c >= '0' && c <= '9' ? number() : word();
        }
    }

    private void enter() {
        at++;
        if (++depth > MAX_DEPTH) {
            throw bad("Document nesting depth (" + depth + ") exceeds the maximum allowed (" + MAX_DEPTH + ")");
        }
    }

    private Map<String, Object> object() {
        enter();
        Map<String, Object> map = new LinkedHashMap<>();
        if (peek() == '}') {
            at++;
            depth--;
            return map;
        }
        for (;;) {
            int c = peek();
            String name = c == '"' || c == '\'' ? string() : name();
            if (peek() != ':') {
                throw unexpected("was expecting a colon to separate field name and value");
            }
            at++;
            map.put(name, value());
            c = peek();
            if (c != ',' && c != '}') {
                throw unexpected("was expecting comma to separate Object entries");
            }
            at++;
            if (c == '}') {
                depth--;
                return map;
            }
        }
    }

    private String name() {
        int start = at;
        while (at < text.length() && Character.isJavaIdentifierPart(text.charAt(at))) {
            at++;
        }
        if (at == start) {
            throw unexpected("was expecting double-quote to start field name");
        }
        return text.substring(start, at);
    }

    private List<Object> array() {
        enter();
        List<Object> list = new ArrayList<>();
        if (peek() == ']') {
            at++;
            depth--;
            return list;
        }
        for (;;) {
            list.add(value());
            int c = peek();
            if (c != ',' && c != ']') {
                throw unexpected("was expecting comma to separate Array entries");
            }
            at++;
            if (c == ']') {
                depth--;
                return list;
            }
        }
    }

    private String string() {
        char quote = text.charAt(at++);
        int start = at;
        StringBuilder b = null;
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == quote) {
                String rest = text.substring(start, at - 1);
                return b == null ? rest : b.append(rest).toString();
            }
            if (c == '\\') {
                b = b == null ? new StringBuilder() : b;
                b.append(text, start, at - 1);
                if (at == text.length()) {
                    break;
                }
                b.append(escape(text.charAt(at++)));
                start = at;
            }
        }
        throw bad("Unexpected end-of-input: was expecting closing quote for a string value");
    }

    private char escape(char c) {
        switch (c) {
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                int value = 0;
                for (int i = 0; i < 4; i++) {
                    int digit = at < text.length() ? Character.digit(text.charAt(at), 16) : -1;
                    if (digit < 0) {
                        throw bad("Unrecognized character escape: expected a hex-digit");
                    }
                    value = 16 * value + digit;
                    at++;
                }
                return (char) value;
            default:
                return c;
        }
    }

    private Object number() {
        int start = at;
        boolean fraction = false;
        at++;
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-') {
                fraction = true;
            } else if (c < '0' || c > '9') {
                break;
            }
            at++;
        }
        String digits = text.substring(start, at);
        if (digits.length() == 1 && (digits.equals("-") || digits.equals("+"))) {
            Object infinite = word();
            if (!(infinite instanceof Double) || ((Double) infinite).isNaN()) {
                throw bad("Unexpected character in numeric value");
            }
            return digits.equals("-") ? -(Double) infinite : infinite;
        }
        if (at < text.length() && Character.isJavaIdentifierPart(text.charAt(at))) {
            throw unexpected("Expected space separating root-level values");
        }
        try {
            if (fraction) {
                return new BigDecimal(digits);
            }
            if (digits.length() < 19) {
                long n = Long.parseLong(digits);
                if (n == (int) n) {
                    return (int) n;
                }
                return n;
            }
            BigInteger n = new BigInteger(digits);
            if (n.bitLength() < 64) {
                return n.longValue();
            }
            return n;
        } catch (NumberFormatException e) {
            throw bad("Invalid numeric value: " + digits);
        }
    }

    private Object word() {
        int start = at;
        while (at < text.length() && Character.isJavaIdentifierPart(text.charAt(at))) {
            at++;
        }
        String word = text.substring(start, at);
        switch (word) {
            case "true":
                return true;
            case "false":
                return false;
            case "null":
                return null;
            case "NaN":
                return Double.NaN;
            case "Infinity":
            case "INF":
                return Double.POSITIVE_INFINITY;
            case "":
                throw unexpected("expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')");
            default:
                throw bad("Unrecognized token '" + word + "': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')");
        }
    }
}
