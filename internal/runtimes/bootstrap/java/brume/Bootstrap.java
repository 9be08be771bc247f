package brume;

import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOError;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.net.MalformedURLException;
import java.net.Socket;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.security.Security;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Brume's runtime for Java functions: it loads the handler and answers invocations from the Lambda Runtime API. It runs on Java 11
 * and later, in the function's sandbox, and answers as Lambda's own runtime does:
 * https://docs.aws.amazon.com/lambda/latest/dg/lambda-java.html
 *
 * <p>{@code java -jar bootstrap.jar DIRECTORY} runs it; the directory is where layers have their jars. Without an argument it says
 * what Java this is.
 *
 * <p>The interfaces of aws-lambda-java-core lie in this jar, as they lie on the class path of Lambda's runtime, and come before a
 * function's own copy. What the function writes to stdout and stderr is cut into log events at each LF.
 */
public final class Bootstrap {
    private Bootstrap() {}

    public static void main(String[] args) throws Throwable {
        if (args.length == 0) {
            warm(); // so that an archive of classes that is made at the exit has them
            describe();
            return;
        }
        System.setOut(stream(FileDescriptor.out));
        System.setErr(stream(FileDescriptor.err));
        provide();
        Api api = new Api(System.getenv("AWS_LAMBDA_RUNTIME_API"));
        if (System.getenv("_BRUME_WAIT") != null) {
            warm();
            become(Json.parse(api.await()));
        }
        trust();
        Log log = new Log(System.getenv("AWS_LAMBDA_LOG_FORMAT"), System.getenv("AWS_LAMBDA_LOG_LEVEL"));
        Field logger = LambdaRuntime.class.getDeclaredField("logger");
        logger.setAccessible(true);
        logger.set(null, log);
        serve(api, log, System.getenv("_HANDLER"), loader(System.getenv("LAMBDA_TASK_ROOT"), args[0]));
    }

    /** Tells the catalog of runtimes what this Java is. */
    private static void describe() {
        Runtime.Version v = Runtime.version();
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("Version", v.feature() + "." + v.interim() + "." + v.update());
        m.put("Prefix", System.getProperty("java.home"));
        System.out.println("\n" + Types.toString(m));
    }

    private static PrintStream stream(FileDescriptor fd) {
        return new PrintStream(new BufferedOutputStream(new FileOutputStream(fd), 8192), true, StandardCharsets.UTF_8);
    }

    /** The class loader of the function: its classes, its jars, and those of its layers, each directory in the order of names. */
    private static URLClassLoader loader(String taskRoot, String layers) throws MalformedURLException {
        List<URL> urls = new ArrayList<>();
        urls.add(new File(taskRoot).toURI().toURL());
        for (File dir : new File[] {new File(taskRoot, "lib"), new File(layers)}) {
            String[] names = dir.list((d, name) -> name.endsWith(".jar"));
            if (names != null) {
                Arrays.sort(names);
                for (String name : names) {
                    urls.add(new File(dir, name).toURI().toURL());
                }
            }
        }
        URLClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), Bootstrap.class.getClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        return loader;
    }

    /**
     * Lets the function trust what the other languages trust: SSL_CERT_FILE. A trust store of its own, in JAVA_TOOL_OPTIONS, comes
     * before that.
     */
    private static void trust() {
        String file = System.getenv("SSL_CERT_FILE");
        if (file != null && System.getProperty("javax.net.ssl.trustStore") == null) {
            System.setProperty("javax.net.ssl.trustStore", file);
            System.setProperty("javax.net.ssl.trustStoreType", Pem.TYPE);
        }
        String ttl = System.getenv("AWS_LAMBDA_JAVA_NETWORKADDRESS_CACHE_NEGATIVE_TTL");
        Security.setProperty("networkaddress.cache.negative.ttl", ttl == null ? "1" : ttl);
    }

    /** Puts Pem at the end of the list of providers. Security.addProvider would load all of them. */
    private static void provide() {
        int n = 1;
        while (Security.getProperty("security.provider." + n) != null) {
            n++;
        }
        Security.setProperty("security.provider." + n, Pem.class.getName());
    }

    /**
     * Gives this process another environment, for System.getenv and for processes that it starts. The environment is read once, when
     * the virtual machine starts, so this goes by what holds it.
     */
    @SuppressWarnings("unchecked")
    private static void become(Object environment) throws ReflectiveOperationException {
        Map<String, String> view = System.getenv();
        Field inner = view.getClass().getDeclaredField("m");
        inner.setAccessible(true);
        Map<String, String> variables = (Map<String, String>) inner.get(view);
        variables.clear();
        variables.putAll((Map<String, String>) environment);
    }

    private static void serve(Api api, Log log, String name, ClassLoader loader) {
        Handler handler = null;
        try {
            handler = Handler.load(name == null ? "" : name, loader);
        } catch (Throwable t) {
            Fault fault = Fault.of(t, true);
            log.error(fault.report());
            api.failLast("init/error", fault.describe().getBytes(StandardCharsets.UTF_8), "Runtime.BadFunctionCode");
            System.exit(1);
        }
        Output output = new Output();
        Api.Answer next = api.next();
        for (;;) {
            next = invoke(api, log, handler, loader, next, output);
        }
    }

    /** Answers one invocation and returns the next one. */
    private static Api.Answer invoke(Api api, Log log, Handler handler, ClassLoader loader, Api.Answer request, Output output) {
        String id = request.headers.get("lambda-runtime-aws-request-id");
        String trace = request.headers.get("lambda-runtime-trace-id");
        if (trace == null) {
            System.clearProperty("com.amazonaws.xray.traceHeader");
        } else {
            System.setProperty("com.amazonaws.xray.traceHeader", trace);
        }
        Fault fault;
        boolean fatal;
        boolean thrown = false;
        output.reset();
        try {
            Invocation invocation = new Invocation(request.headers, log);
            log.during(invocation);
            if (LambdaRuntimeInternal.getUseLog4jAppender()) {
                tellLog4j(loader, id);
            }
            handler.call(request.body, output, invocation);
            Thread.interrupted(); // which the function may have set
            return api.respond(id, output.bytes(), output.size());
        } catch (Fault f) {
            fault = f;
            fatal = f.fatal;
        } catch (Throwable t) {
            thrown = true;
            fault = Fault.of(t, false);
            fatal = t instanceof VirtualMachineError || t instanceof IOError;
        }
        Thread.interrupted();
        log.error(fault.report());
        byte[] body = (thrown ? fault.describeThrown() : fault.describe()).getBytes(StandardCharsets.UTF_8);
        String type = thrown ? "Runtime.UserException" : "Runtime.BadFunctionCode";
        if (fatal) {
            api.failLast("invocation/" + id + "/error", body, type);
            System.exit(1);
        }
        return api.fail(id, body, type);
    }

    /** Puts the request's id where the appender for Log4j, of either generation, finds it. */
    private static void tellLog4j(ClassLoader loader, String id) {
        String[][] places = {{"org.apache.log4j.MDC", "java.lang.Object"}, {"org.apache.logging.log4j.ThreadContext", "java.lang.String"}};
        for (String[] place : places) {
            try {
                Class.forName(place[0], true, loader).getMethod("put", String.class, Class.forName(place[1])).invoke(null, "AWSRequestId", id);
            } catch (ReflectiveOperationException | LinkageError e) {
                // the function has the other one
            }
        }
    }

    /** Goes once through what an invocation takes, so that it is loaded when there is one. */
    private static void warm() throws Throwable {
        try (Socket socket = new Socket()) {
            socket.setTcpNoDelay(true);
        }
        for (Class<?> c : new Class<?>[] {Api.class, Log.class, LambdaRuntimeInternal.class}) {
            Class.forName(c.getName());
        }
        Field field = LambdaRuntime.class.getDeclaredField("logger");
        field.setAccessible(true);
        field.set(null, null);
        Field inner = System.getenv().getClass().getDeclaredField("m");
        inner.setAccessible(true);
        inner.get(System.getenv());
        URL root = new File("/").toURI().toURL();
        root.openConnection().getPermission(); // as for the code source of a class
        try (URLClassLoader loader = new URLClassLoader(new URL[] {root}, null)) {
            loader.findResource("nowhere");
        }
        byte[] event = "{\"n\":[1,2.5,\"x\",true,null],\"o\":{\"s\":\"é\"}}".getBytes(StandardCharsets.UTF_8);
        ClassLoader loader = loader("/nowhere", "/nowhere");
        Api.Answer request = new Api.Answer();
        request.headers.put("lambda-runtime-aws-request-id", "");
        Invocation invocation = new Invocation(request.headers, null);
        for (String handler : new String[] {"brume.Warm", "brume.Warm::handle", "brume.Warm::nothing", "nowhere"}) {
            try {
                Handler.load(handler, loader).call(event, new Output(), invocation);
            } catch (Throwable t) {
                Fault fault = Fault.of(t, false);
                fault.report();
                fault.describe();
            }
        }
    }

    /** Hands out its bytes without a copy. */
    private static final class Output extends ByteArrayOutputStream {
        byte[] bytes() {
            return buf;
        }
    }
}
