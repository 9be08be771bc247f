package brume;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceLoader;

/**
 * The function that a handler names, CLASS or CLASS::METHOD: https://docs.aws.amazon.com/lambda/latest/dg/java-handler.html. What
 * is wrong with it is told when it is first invoked, unless the code itself failed while it was loaded: then at once.
 */
abstract class Handler {
    private static final byte[] NULL = {'n', 'u', 'l', 'l'};

    /** Calls the function. What it throws is the function's. */
    abstract void call(byte[] event, ByteArrayOutputStream response, Context context) throws Throwable;

    private static Handler broken(Fault fault) {
        return new Handler() {
            @Override
            void call(byte[] event, ByteArrayOutputStream response, Context context) {
                throw fault;
            }
        };
    }

    static Handler load(String name, ClassLoader loader) {
        int colons = name.lastIndexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        String methodName = colons < 0 ? null : name.substring(colons + 2);
        if (className.isEmpty() || methodName != null && methodName.isEmpty()) {
            return broken(Fault.found("Invalid handler: `" + name + "'"));
        }
        Class<?> c;
        try {
            c = Class.forName(className, true, loader);
        } catch (ClassNotFoundException e) {
            return broken(Fault.of("Class not found: " + className, e, false));
        } catch (NoClassDefFoundError e) {
            return broken(failed(className, e));
        } catch (Throwable t) {
            throw failed(className, t);
        }
        try {
            return methodName == null ? ofInterface(c) : ofMethod(c, methodName);
        } catch (Fault f) {
            if (f.fatal) {
                throw f;
            }
            return broken(f);
        }
    }

    private static Fault failed(String className, Throwable t) {
        return Fault.of("Error loading class " + className + (t.getMessage() == null ? "" : ": " + t.getMessage()), t, true);
    }

    private static Object make(Class<?> c) {
        try {
            return c.getConstructor().newInstance();
        } catch (NoSuchMethodException e) {
            if (c.getEnclosingClass() != null && !Modifier.isStatic(c.getModifiers())) {
                throw Fault.of(new Exception("Class " + c.getName() + " cannot be instantiated because it is a non-static inner class"), false);
            }
            throw Fault.of(new Exception("Class " + c.getName() + " has no public zero-argument constructor", e), false);
        } catch (InvocationTargetException e) {
            throw Fault.of(e.getCause() == null ? e : e.getCause(), true);
        } catch (ReflectiveOperationException e) {
            throw Fault.of(e, false);
        }
    }

    @SuppressWarnings("unchecked")
    private static Handler ofInterface(Class<?> c) {
        if (RequestStreamHandler.class.isAssignableFrom(c)) {
            RequestStreamHandler handler = (RequestStreamHandler) make(c);
            return new Handler() {
                @Override
                void call(byte[] event, ByteArrayOutputStream response, Context context) throws Throwable {
                    handler.handleRequest(new ByteArrayInputStream(event), response, context);
                }
            };
        }
        if (!RequestHandler.class.isAssignableFrom(c)) {
            throw Fault.found("Class does not implement an appropriate handler interface: " + c.getName());
        }
        Type in = Types.supertypeArgument(c, c, RequestHandler.class, 0, Collections.emptyMap());
        Type out = Types.supertypeArgument(c, c, RequestHandler.class, 1, Collections.emptyMap());
        for (Type t : new Type[] {in, out}) {
            if (t instanceof TypeVariable && unbounded((TypeVariable<?>) t)) {
                throw Fault.found("Class " + c.getName() + " does not implement RequestHandler with concrete type parameters: parameter "
                        + t + " has no upper bound.");
            }
        }
        RequestHandler<Object, Object> handler = (RequestHandler<Object, Object>) make(c);
        return new OfObjects(c.getClassLoader(), in, out) {
            @Override
            Object call(Object event, Context context) {
                return handler.handleRequest(event, context);
            }
        };
    }

    private static boolean unbounded(TypeVariable<?> t) {
        for (Type bound : t.getBounds()) {
            if (bound != Object.class) {
                return false;
            }
        }
        return true;
    }

    private static boolean lastIsContext(Class<?>[] parameters) {
        return parameters.length > 0 && parameters[parameters.length - 1] == Context.class;
    }

    /** Of several methods with the name one with more parameters is meant, where a Context at the end counts twice. */
    private static Handler ofMethod(Class<?> c, String name) {
        List<Method> methods = new ArrayList<>();
        try {
            for (Method m : c.getMethods()) {
                if (m.getName().equals(name)) {
                    methods.add(m);
                }
            }
        } catch (NoClassDefFoundError e) {
            throw Fault.of("Error loading method " + name + " on class " + c.getName(), e, false);
        }
        methods.sort(Comparator.<Method, Boolean>comparing(Method::isBridge).thenComparing(
                m -> -m.getParameterCount() - (lastIsContext(m.getParameterTypes()) ? 1 : 0)));
        for (Method m : methods) {
            Handler handler = ofSignature(c, m);
            if (handler != null) {
                return handler;
            }
        }
        throw Fault.found("No public method named " + name + " with appropriate method signature found on class " + c.getName());
    }

    private static Handler ofSignature(Class<?> c, Method m) {
        Class<?>[] types = m.getParameterTypes();
        boolean context = lastIsContext(types);
        int rest = types.length - (context ? 1 : 0);
        boolean in = rest > 0 && types[0] == InputStream.class;
        boolean out = rest > 0 && types[rest - 1] == OutputStream.class;
        boolean streams = rest == 1 && (in || out) || rest == 2 && in && out;
        if (!streams && (rest > 1 || rest == 1 && types[0] == Context.class)) {
            return null;
        }
        Object instance = Modifier.isStatic(m.getModifiers()) ? null : make(c);
        m.setAccessible(true); // its class may be an inner one
        if (streams) {
            return new Handler() {
                @Override
                void call(byte[] event, ByteArrayOutputStream response, Context ctx) throws Throwable {
                    Object[] arguments = new Object[types.length];
                    if (in) {
                        arguments[0] = new ByteArrayInputStream(event);
                    }
                    if (out) {
                        arguments[rest - 1] = response;
                    }
                    if (context) {
                        arguments[rest] = ctx;
                    }
                    invoke(m, instance, arguments);
                    if (!out) {
                        response.write(NULL, 0, NULL.length);
                    }
                }
            };
        }
        return new OfObjects(c.getClassLoader(), rest == 1 ? m.getGenericParameterTypes()[0] : null, m.getGenericReturnType()) {
            @Override
            Object call(Object event, Context ctx) throws Throwable {
                Object[] arguments = new Object[types.length];
                if (rest == 1) {
                    arguments[0] = event;
                }
                if (context) {
                    arguments[rest] = ctx;
                }
                return invoke(m, instance, arguments);
            }
        };
    }

    private static Object invoke(Method m, Object instance, Object[] arguments) throws Throwable {
        try {
            return m.invoke(instance, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause() == null ? e : e.getCause();
        }
    }

    /** A function whose event and response are objects. */
    private abstract static class OfObjects extends Handler {
        private final CustomPojoSerializer own;
        private final Type in;
        private final Type out;

        OfObjects(ClassLoader loader, Type in, Type out) {
            own = serializer(loader);
            this.in = in;
            this.out = out;
        }

        abstract Object call(Object event, Context context) throws Throwable;

        private static CustomPojoSerializer serializer(ClassLoader loader) {
            if (loader.getResource("META-INF/services/" + CustomPojoSerializer.class.getName()) == null) {
                return null;
            }
            Iterator<CustomPojoSerializer> all = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
            CustomPojoSerializer first = all.hasNext() ? all.next() : null;
            if (all.hasNext()) {
                throw Fault.found("Too many serializers provided inside the META-INF/services folder, only one is allowed");
            }
            return first;
        }

        @Override
        void call(byte[] event, ByteArrayOutputStream response, Context context) throws Throwable {
            Object input;
            try {
                input = in == null ? null : own != null ? own.fromJson(new ByteArrayInputStream(event), in) : Types.read(Json.parse(event), in);
            } catch (Throwable t) {
                throw new RuntimeException("An error occurred during JSON parsing", t);
            }
            Object output = call(input, context);
            try {
                if (out == void.class || out == Void.class) {
                    response.write(NULL, 0, NULL.length);
                } else if (own != null) {
                    own.toJson(output, response, out);
                } else {
                    byte[] b = Types.toString(output).getBytes(StandardCharsets.UTF_8);
                    response.write(b, 0, b.length);
                }
            } catch (Throwable t) {
                throw new RuntimeException("An error occurred during JSON serialization of response", t);
            }
        }
    }
}
