package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.amazonaws.services.lambda.runtime.events.StreamsEvent;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class Functions {
    // Handlers by method.

    public String text(String s) { return s + "!"; }
    public int number(int i, Context c) { return i + 1; }
    public Long boxed(Long n) { return n; }
    public double real(double d) { return d / 2; }
    public boolean not(boolean b) { return !b; }
    public BigInteger big(BigInteger n) { return n.add(BigInteger.ONE); }
    public Order.State state(Order.State s) { return s; }
    public Order order(Order o) { return o; }
    public Order.Address record(Order.Address a) { return a; }
    public Map<String, Object> map(Map<String, Object> m) { return m; }
    public List<Integer> list(List<Integer> l) { List<Integer> r = new ArrayList<>(l); r.add(null); return r; }
    public Object any(Object o) { return o; }
    public String kind(Object o) { return o == null ? "null" : o.getClass().getSimpleName(); }
    public Object odd() { return Arrays.asList(Double.NaN, 1.0f, 'c', new char[] {'x'}, new int[] {1}, String.class); }
    public Object loop() { List<Object> l = new ArrayList<>(); l.add(l); return l; }
    public void nothing() {}
    public String onlyContext(Context c) { return c.getFunctionName(); }
    public static String fixed(String s) { return "static " + s; }
    public Object events(StreamsEvent e) { return List.of(e.getRecords().get(0).getApproximateCreationDateTime().getTime(), e); }
    public CharSequence abstractly(CharSequence s) { return s; }
    public Runnable impossible(Runnable r) { return r; }

    public void stream(InputStream in, OutputStream out, Context c) throws IOException {
        out.write((c.getFunctionName() + " ").getBytes(StandardCharsets.UTF_8));
        in.transferTo(out);
    }

    public void both(InputStream in, OutputStream out) throws IOException { in.transferTo(out); }
    public String reads(InputStream in) throws IOException { return "lost " + in.read(); }
    public void writes(OutputStream out, Context c) throws IOException { out.write("{}".getBytes()); }

    public String over(String s) { return "one"; }
    public String over(String s, Context c) { return "with context"; }
    public String over(String s, Integer i, Context c) { return "three"; }
    public String over(String s, String t) { return "two"; }
    public String wrong(String s, String t) { return "two"; }
    String hidden(String s) { return s; }

    // Handlers by interface.

    public static class Upper implements RequestHandler<String, String> {
        @Override
        public String handleRequest(String s, Context c) { return s.toUpperCase(); }
    }

    public abstract static class Base<A, B> implements RequestHandler<List<A>, B> {}

    /** Whose event is a list of orders. */
    public static class Generic extends Base<Order, Map<String, Integer>> {
        @Override
        public Map<String, Integer> handleRequest(List<Order> orders, Context c) {
            Map<String, Integer> m = new LinkedHashMap<>();
            for (Order o : orders) { m.put(o.getOrderId(), o.getItems() == null ? null : o.getItems().size()); }
            return m;
        }
    }

    public static class Raw<T> implements RequestHandler<T, String> {
        @Override
        public String handleRequest(T t, Context c) { return "" + t; }
    }

    public static class Bytes implements RequestStreamHandler {
        @Override
        public void handleRequest(InputStream in, OutputStream out, Context c) throws IOException { in.transferTo(out); }
    }

    public static class Silent implements RequestHandler<Object, Void> {
        @Override
        public Void handleRequest(Object o, Context c) { return null; }
    }

    /** Says that it uses Log4j, as the appender for Lambda does when it is loaded. */
    public static class Logging {
        static { com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal.setUseLog4jAppender(true); }
        public Object handle(Object o) { return org.apache.logging.log4j.ThreadContext.VALUES; }
    }

    // What goes wrong.

    public static class BadConstructor {
        public BadConstructor() { throw new IllegalStateException("in the constructor"); }
        public String handle(String s) { return s; }
    }

    public static class BadStatic {
        static { if (true) { throw new IllegalStateException("in the initializer"); } }
        public String handle(String s) { return s; }
    }

    public static class NoConstructor {
        public NoConstructor(int i) {}
        public String handle(String s) { return s; }
    }

    public class Inner {
        public String handle(String s) { return s; }
    }

    public static class Exits {
        static { System.exit(7); }
        public String handle(String s) { return s; }
    }

    static class Odd extends Exception {
        Odd(String message, Throwable cause) { super(message, cause); }
    }

    public Object fail(String how) throws Exception {
        switch (how) {
            case "checked": throw new Odd("two\nlines", new IllegalArgumentException("why", new NullPointerException()));
            case "silent": throw new IllegalStateException();
            case "memory": return new long[Integer.MAX_VALUE / 2];
            case "deep": return fail(how) + "x";
            case "exit": System.exit(3); return null;
            default: return inner(how);
        }
    }

    private Object inner(String how) { throw new UnsupportedOperationException(how); }

    // What the runtime gives.

    public Object context(Object event, Context c) {
        int left = c.getRemainingTimeInMillis();
        if (left <= 0 || left > 30000) { throw new IllegalStateException("left " + left); }
        List<Object> l = new ArrayList<>(Arrays.asList(c.getFunctionName(), c.getFunctionVersion(), c.getInvokedFunctionArn(),
                c.getMemoryLimitInMB(), c.getAwsRequestId(), c.getLogGroupName(), c.getLogStreamName()));
        l.add(c.getIdentity() == null ? null : c.getIdentity().getIdentityId() + " " + c.getIdentity().getIdentityPoolId());
        if (c.getClientContext() == null) {
            l.add(null);
        } else {
            var k = c.getClientContext();
            l.add(Arrays.asList(k.getClient().getInstallationId(), k.getClient().getAppTitle(), k.getClient().getAppVersionName(),
                    k.getClient().getAppVersionCode(), k.getClient().getAppPackageName(), k.getCustom(), k.getEnvironment()));
        }
        l.add(System.getProperty("com.amazonaws.xray.traceHeader"));
        return l;
    }

    public void log(Object event, Context c) {
        System.out.println("print ü");
        System.out.print("a");
        System.out.println("b\nc");
        System.err.println("to stderr");
        c.getLogger().log("two\nlines\n");
        c.getLogger().log("bytes".getBytes());
        LambdaRuntime.getLogger().log("warned", LogLevel.WARN);
        LambdaRuntime.getLogger().log("quiet", LogLevel.DEBUG);
        LambdaRuntime.getLogger().log("end", LogLevel.FATAL);
    }

    public Object loading(Object event) throws Exception {
        List<Object> l = new ArrayList<>();
        for (String name : new String[] {"resource.txt", "only-in-lib.txt", "only-in-layer.txt", "missing.txt"}) {
            try (InputStream in = Functions.class.getResourceAsStream("/" + name)) {
                l.add(in == null ? null : new String(in.readAllBytes()));
            }
        }
        l.add(Thread.currentThread().getContextClassLoader() == Functions.class.getClassLoader());
        l.add(System.getProperty("own"));
        l.add(System.getProperty("user.dir").equals(System.getenv("LAMBDA_TASK_ROOT")));
        l.add(Runtime.getRuntime().maxMemory() > 100 << 20 && Runtime.getRuntime().maxMemory() < 111 << 20);
        return l;
    }
}
