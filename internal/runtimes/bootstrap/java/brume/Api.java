package brume;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** The Runtime API, over one connection. When the platform is gone, so is this process. */
final class Api {
    private static final String PATH = "/2018-06-01/runtime/";
    private static final String ERROR_JSON = "application/vnd.aws.lambda.error+json";

    private final String host;
    private final InputStream in;
    private final OutputStream out;
    private final byte[] next;
    private byte[] received = new byte[64 << 10];
    private int filled;

    /** An answer: headers with names in lower case, and a body. */
    static final class Answer {
        int status;
        final Map<String, String> headers = new HashMap<>();
        byte[] body;
    }

    Api(String address) throws IOException {
        int colon = address.lastIndexOf(':');
        host = address;
        String name = address.substring(0, colon).replace("[", "").replace("]", "");
        // The connection is open as long as the process.
        Socket socket = new Socket(InetAddress.getByName(name), Integer.parseInt(address.substring(colon + 1)));
        socket.setTcpNoDelay(true);
        in = socket.getInputStream();
        out = socket.getOutputStream();
        next = ("GET " + PATH + "invocation/next HTTP/1.1\r\nHost: " + host + "\r\n\r\n").getBytes(StandardCharsets.ISO_8859_1);
    }

    /** Says that this process is ready for a function, and returns the environment of the one that it gets. */
    byte[] await() {
        send(new byte[] {'[', ']', '\n'});
        return receive().body;
    }

    /** Asks for an invocation. */
    Answer next() {
        send(next);
        return invocation();
    }

    /**
     * Sends a response and asks for the next invocation behind it: one write, and one wake-up for both answers. Whether the
     * response was accepted changes nothing: if it was too large, the caller has been told already.
     */
    Answer respond(String id, byte[] body, int length) {
        post("invocation/" + id + "/response", body, length, "application/json", null, true);
        receive();
        return invocation();
    }

    /** Likewise for an error. */
    Answer fail(String id, byte[] body, String type) {
        post("invocation/" + id + "/error", body, body.length, ERROR_JSON, type, true);
        receive();
        return invocation();
    }

    /** Sends an error after which the process ends, to invocation/ID/error or init/error. */
    void failLast(String path, byte[] body, String type) {
        post(path, body, body.length, ERROR_JSON, type, false);
        receive();
    }

    private void post(String path, byte[] body, int length, String type, String errorType, boolean more) {
        String head = "POST " + PATH + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: " + type + "\r\nContent-Length: " + length
                + "\r\n" + (errorType == null ? "" : "Lambda-Runtime-Function-Error-Type: " + errorType + "\r\n") + "\r\n";
        byte[] start = head.getBytes(StandardCharsets.ISO_8859_1);
        if (length > 64 << 10) {
            send(start);
            send(body, length);
            if (more) {
                send(next);
            }
            return;
        }
        byte[] all = Arrays.copyOf(start, start.length + length + (more ? next.length : 0));
        System.arraycopy(body, 0, all, start.length, length);
        if (more) {
            System.arraycopy(next, 0, all, start.length + length, next.length);
        }
        send(all);
    }

    private void send(byte[] b) {
        send(b, b.length);
    }

    private void send(byte[] b, int length) {
        try {
            out.write(b, 0, length);
        } catch (IOException e) {
            Runtime.getRuntime().halt(1);
        }
    }

    private Answer invocation() {
        Answer a = receive();
        if (a.status != 200) {
            throw new IllegalStateException("the Runtime API answered " + a.status + " to invocation/next");
        }
        return a;
    }

    private Answer receive() {
        int end;
        int from = 0;
        while ((end = endOfHead(from)) < 0) {
            from = Math.max(0, filled - 3);
            if (filled == received.length) {
                received = Arrays.copyOf(received, 2 * filled);
            }
            filled += read(received, filled);
        }
        Answer a = new Answer();
        String head = new String(received, 0, end, StandardCharsets.UTF_8) + "\r\n";
        int space = head.indexOf(' ');
        a.status = Integer.parseInt(head.substring(space + 1, space + 4));
        int line = head.indexOf("\r\n") + 2;
        while (line < head.length()) {
            int ending = head.indexOf("\r\n", line);
            int colon = head.indexOf(':', line);
            if (colon > 0 && colon < ending) {
                a.headers.put(head.substring(line, colon).toLowerCase(Locale.ROOT), head.substring(colon + 1, ending).trim());
            }
            line = ending + 2;
        }
        a.body = new byte[Integer.parseInt(a.headers.getOrDefault("content-length", "0"))];
        int start = end + 4;
        int have = Math.min(filled - start, a.body.length);
        System.arraycopy(received, start, a.body, 0, have);
        System.arraycopy(received, start + have, received, 0, filled - start - have);
        filled -= start + have;
        while (have < a.body.length) {
            have += read(a.body, have);
        }
        return a;
    }

    private int endOfHead(int from) {
        for (int i = from; i + 3 < filled; i++) {
            if (received[i] == '\r' && received[i + 1] == '\n' && received[i + 2] == '\r' && received[i + 3] == '\n') {
                return i;
            }
        }
        return -1;
    }

    private int read(byte[] into, int offset) {
        try {
            int n = in.read(into, offset, into.length - offset);
            if (n > 0) {
                return n;
            }
        } catch (IOException e) {
            // as below
        }
        Runtime.getRuntime().halt(1);
        return 0;
    }
}
