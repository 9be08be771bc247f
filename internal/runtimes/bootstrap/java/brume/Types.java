package brume;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.URI;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZonedDateTime;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Calendar;
import java.util.Collection;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Between JSON and the types of Java, as Lambda's runtime goes: properties by getters, setters and public fields, records by their
 * components; unknown properties are ignored, absent ones keep their value, null ones are not written; scalars turn into each
 * other, a single value into a list, the empty string into no object. https://docs.aws.amazon.com/lambda/latest/dg/java-handler.html
 *
 * <p>In the classes of aws-lambda-java-events names are found whatever their case and hyphens ("Records", "detail-type",
 * "eventSourceARN"), and dates are seconds.
 */
final class Types {
    private static final String EVENTS = "com.amazonaws.services.lambda.runtime.events.";
    private static final Map<Class<?>, Bean> BEANS = new ConcurrentHashMap<>();

    private Types() {}

    // From JSON.

    /** What the event cannot be read as. */
    private static UncheckedIOException bad(String message) {
        return new UncheckedIOException(message, new IOException(message));
    }

    private static UncheckedIOException mismatch(Object value, Type type) {
        String what = value instanceof Map ? "Object value (token `JsonToken.START_OBJECT`)"
                : value instanceof List ? "Array value (token `JsonToken.START_ARRAY`)"
                : value instanceof String ? "String \"" + value + "\": not a valid representation"
                : value instanceof Boolean ? "Boolean value (token `JsonToken.VALUE_" + value.toString().toUpperCase(Locale.ROOT) + "`)"
                : "Number value (" + value + ")";
        return bad("Cannot deserialize value of type `" + type.getTypeName() + "` from " + what);
    }

    /** Returns what Json.parse returned as a value of a type. */
    static Object read(Object value, Type type) {
        return read(value, type, Collections.emptyMap());
    }

    private static Object read(Object value, Type type, Map<TypeVariable<?>, Type> variables) {
        if (type instanceof Class) {
            return readClass(value, (Class<?>) type, type, variables);
        }
        if (type instanceof ParameterizedType) {
            return readClass(value, (Class<?>) ((ParameterizedType) type).getRawType(), type, variables);
        }
        if (type instanceof WildcardType) {
            return read(value, ((WildcardType) type).getUpperBounds()[0], variables);
        }
        if (type instanceof TypeVariable) {
            Type known = variables.get(type);
            return read(value, known == null ? ((TypeVariable<?>) type).getBounds()[0] : known, variables);
        }
        return readArray(value, ((GenericArrayType) type).getGenericComponentType(), type, variables);
    }

    /** The class that values of a type have. */
    private static Class<?> raw(Type type, Map<TypeVariable<?>, Type> variables) {
        if (type instanceof Class) {
            return (Class<?>) type;
        }
        if (type instanceof ParameterizedType) {
            return (Class<?>) ((ParameterizedType) type).getRawType();
        }
        if (type instanceof WildcardType) {
            return raw(((WildcardType) type).getUpperBounds()[0], variables);
        }
        if (type instanceof TypeVariable) {
            Type known = variables.get(type);
            return raw(known == null ? ((TypeVariable<?>) type).getBounds()[0] : known, variables);
        }
        return Array.newInstance(raw(((GenericArrayType) type).getGenericComponentType(), variables), 0).getClass();
    }

    private static Object readClass(Object value, Class<?> c, Type type, Map<TypeVariable<?>, Type> variables) {
        if (c == Optional.class) {
            return Optional.ofNullable(value == null ? null : read(value, argument(type, 0, variables), variables));
        }
        if (value == null) {
            return c.isPrimitive() ? zero(c) : null;
        }
        if (c == Object.class) {
            return natural(value);
        }
        if (c == byte[].class || c == ByteBuffer.class) {
            if (value instanceof String) {
                byte[] bytes = base64((String) value);
                return c == byte[].class ? bytes : ByteBuffer.wrap(bytes);
            }
            if (c == ByteBuffer.class) {
                throw mismatch(value, type);
            }
        }
        if (c == char[].class && value instanceof String) {
            return ((String) value).toCharArray();
        }
        if (c.isArray()) {
            return readArray(value, c.getComponentType(), type, variables);
        }
        if (Collection.class.isAssignableFrom(c) || c == Iterable.class) {
            return readCollection(value, c, type, variables);
        }
        if (Map.class.isAssignableFrom(c)) {
            return readMap(value, c, type, variables);
        }
        if (value instanceof List) {
            List<?> list = (List<?>) value;
            if (list.isEmpty() && !c.isPrimitive()) {
                return null;
            }
            if (list.size() == 1) {
                return read(list.get(0), type, variables);
            }
            throw mismatch(value, type);
        }
        if (value instanceof Map) {
            if (isScalar(c) && !c.isInterface()) {
                throw mismatch(value, type);
            }
            return Bean.of(c).read((Map<?, ?>) value, arguments(c, type, variables));
        }
        Object scalar = readScalar(value, c);
        if (scalar == null && c.isPrimitive()) {
            return zero(c);
        }
        return scalar;
    }

    private static boolean isScalar(Class<?> c) {
        return c.isPrimitive() || c.isEnum() || Number.class.isAssignableFrom(c) || c.getName().startsWith("java.");
    }

    private static Object zero(Class<?> c) {
        return Array.get(Array.newInstance(c, 1), 0);
    }

    /** What a JSON value is where nothing says what it should be. It works in place. */
    @SuppressWarnings("unchecked")
    private static Object natural(Object value) {
        if (value instanceof BigDecimal) {
            return ((BigDecimal) value).doubleValue();
        }
        if (value instanceof Map) {
            ((Map<String, Object>) value).replaceAll((k, v) -> natural(v));
        } else if (value instanceof List) {
            ((List<Object>) value).replaceAll(Types::natural);
        }
        return value;
    }

    private static byte[] base64(String text) {
        try {
            return Base64.getMimeDecoder().decode(text);
        } catch (IllegalArgumentException e) {
            throw bad("Failed to decode VALUE_STRING as base64: " + e.getMessage());
        }
    }

    private static Object readArray(Object value, Type component, Type type, Map<TypeVariable<?>, Type> variables) {
        if (value == null || "".equals(value)) {
            return null;
        }
        List<?> list = value instanceof List ? (List<?>) value : Collections.singletonList(value);
        Object array = Array.newInstance(raw(component, variables), list.size());
        for (int i = 0; i < list.size(); i++) {
            Array.set(array, i, read(list.get(i), component, variables));
        }
        return array;
    }

    @SuppressWarnings("unchecked")
    private static Object readCollection(Object value, Class<?> c, Type type, Map<TypeVariable<?>, Type> variables) {
        if ("".equals(value)) {
            return null;
        }
        Collection<Object> made;
        if (c.isAssignableFrom(ArrayList.class)) {
            made = new ArrayList<>();
        } else if (c.isAssignableFrom(HashSet.class)) {
            made = new HashSet<>();
        } else if (c.isAssignableFrom(LinkedList.class)) {
            made = new LinkedList<>();
        } else if (c.isAssignableFrom(TreeSet.class)) {
            made = new TreeSet<>();
        } else if (c.isAssignableFrom(ArrayDeque.class)) {
            made = new ArrayDeque<>();
        } else {
            made = (Collection<Object>) Bean.construct(c);
        }
        Type element = supertypeArgument(c, type, Iterable.class, 0, variables);
        for (Object v : value instanceof List ? (List<?>) value : Collections.singletonList(value)) {
            made.add(read(v, element, variables));
        }
        return made;
    }

    @SuppressWarnings("unchecked")
    private static Object readMap(Object value, Class<?> c, Type type, Map<TypeVariable<?>, Type> variables) {
        if ("".equals(value) || value instanceof List && ((List<?>) value).isEmpty()) {
            return null;
        }
        if (value instanceof List && ((List<?>) value).size() == 1) {
            return read(((List<?>) value).get(0), type, variables);
        }
        if (!(value instanceof Map)) {
            throw mismatch(value, type);
        }
        Map<Object, Object> made;
        if (c.isAssignableFrom(LinkedHashMap.class)) {
            made = new LinkedHashMap<>();
        } else if (c.isAssignableFrom(TreeMap.class)) {
            made = new TreeMap<>();
        } else if (c.isAssignableFrom(ConcurrentHashMap.class)) {
            made = new ConcurrentHashMap<>();
        } else {
            made = (Map<Object, Object>) Bean.construct(c);
        }
        Type keys = supertypeArgument(c, type, Map.class, 0, variables);
        Type values = supertypeArgument(c, type, Map.class, 1, variables);
        for (Map.Entry<?, ?> e : ((Map<?, ?>) value).entrySet()) {
            Object key = e.getKey();
            made.put(keys == Object.class ? key : read(key, keys, variables), read(e.getValue(), values, variables));
        }
        return made;
    }

    private static Object readScalar(Object value, Class<?> c) {
        String text = value instanceof String ? ((String) value).trim() : null;
        if (c == String.class || c == CharSequence.class) {
            return value.toString();
        }
        if ("".equals(text)) {
            return null;
        }
        try {
            if (c == boolean.class || c == Boolean.class) {
                if (value instanceof Boolean) {
                    return value;
                }
                if (value instanceof Number) {
                    return ((Number) value).doubleValue() != 0;
                }
                if ("true".equalsIgnoreCase(text) || "false".equalsIgnoreCase(text)) {
                    return Boolean.valueOf(text);
                }
                throw mismatch(value, c);
            }
            if (c == char.class || c == Character.class) {
                if (value instanceof String && ((String) value).length() == 1) {
                    return ((String) value).charAt(0);
                }
                if (value instanceof Integer) {
                    return (char) (int) (Integer) value;
                }
                throw mismatch(value, c);
            }
            if (c.isPrimitive() || Number.class.isAssignableFrom(c)) {
                return readNumber(value, text, c);
            }
            if (c.isEnum()) {
                return readEnum(value, text, c);
            }
            if (c == Date.class || c == Calendar.class) {
                Date date = readDate(value, text);
                if (c == Date.class) {
                    return date;
                }
                Calendar calendar = Calendar.getInstance();
                calendar.setTime(date);
                return calendar;
            }
            if (c == Instant.class && value instanceof Number) {
                BigDecimal seconds = new BigDecimal(value.toString());
                return Instant.ofEpochSecond(seconds.longValue(), seconds.remainder(BigDecimal.ONE).movePointRight(9).longValue());
            }
            if (text != null) {
                if (c == UUID.class) {
                    return UUID.fromString(text);
                }
                if (c == URI.class) {
                    return URI.create(text);
                }
                if (c == java.net.URL.class) {
                    return URI.create(text).toURL();
                }
                if (c == Class.class) {
                    throw mismatch(value, c);
                }
                return parse(text, value, c);
            }
        } catch (IllegalArgumentException | ArithmeticException | IOException e) {
            throw mismatch(value, c);
        }
        throw mismatch(value, c);
    }

    private static Object readNumber(Object value, String text, Class<?> c) {
        Number n;
        if (value instanceof Number) {
            n = (Number) value;
        } else if (value instanceof Boolean) {
            throw mismatch(value, c);
        } else if (text.equals("NaN") || text.endsWith("Infinity")) {
            n = Double.valueOf(text);
        } else {
            n = new BigDecimal(text);
        }
        if (c == double.class || c == Double.class) {
            return n.doubleValue();
        }
        if (c == float.class || c == Float.class) {
            return n.floatValue();
        }
        if (c == Number.class) {
            return natural(n);
        }
        if (n instanceof Double) { // not a number, or infinite
            throw mismatch(value, c);
        }
        BigDecimal exact = n instanceof BigDecimal ? (BigDecimal) n : new BigDecimal(n.toString());
        if (c == BigDecimal.class) {
            return exact;
        }
        if (exact.scale() < -10000) {
            throw mismatch(value, c);
        }
        BigInteger whole = exact.toBigInteger(); // as Lambda does, without its fraction
        if (c == BigInteger.class) {
            return whole;
        }
        if (c == long.class || c == Long.class) {
            return whole.longValueExact();
        }
        if (c == int.class || c == Integer.class) {
            return whole.intValueExact();
        }
        if (c == short.class || c == Short.class) {
            return whole.shortValueExact();
        }
        if (c == byte.class || c == Byte.class) {
            return whole.byteValueExact();
        }
        throw mismatch(value, c);
    }

    private static Object readEnum(Object value, String text, Class<?> c) {
        Object[] constants = c.getEnumConstants();
        if (value instanceof Integer) {
            int i = (Integer) value;
            return i >= 0 && i < constants.length ? constants[i] : null;
        }
        for (Object constant : constants) {
            if (((Enum<?>) constant).name().equals(text)) {
                return constant;
            }
        }
        return null;
    }

    private static Date readDate(Object value, String text) {
        if (value instanceof Number) {
            return new Date(((Number) value).longValue());
        }
        if (text == null) {
            throw mismatch(value, Date.class);
        }
        try {
            if (text.length() == 10) {
                return Date.from(LocalDate.parse(text).atStartOfDay(java.time.ZoneOffset.UTC).toInstant());
            }
            // Offsets without a colon too: "+0000".
            return Date.from(OffsetDateTime.parse(text.replaceAll("([+-]\\d\\d)(\\d\\d)$", "$1:$2")).toInstant());
        } catch (java.time.DateTimeException e) {
            throw mismatch(value, Date.class);
        }
    }

    /** The types of java.time and of Joda-Time say how their text is read; no other class has one. */
    private static Object parse(String text, Object value, Class<?> c) {
        if (!c.getName().startsWith("java.time.") && !c.getName().startsWith("org.joda.time.")) {
            throw mismatch(value, c);
        }
        for (Class<?> parameter : new Class<?>[] {CharSequence.class, String.class}) {
            try {
                return c.getMethod("parse", parameter).invoke(null, text);
            } catch (NoSuchMethodException e) {
                // the other one, then
            } catch (ReflectiveOperationException e) {
                throw mismatch(value, c);
            }
        }
        throw mismatch(value, c);
    }

    // Types with parameters.

    private static Type argument(Type type, int i, Map<TypeVariable<?>, Type> variables) {
        return type instanceof ParameterizedType ? resolve(((ParameterizedType) type).getActualTypeArguments()[i], variables) : Object.class;
    }

    /** A type with what is known put in the places of its variables. */
    private static Type resolve(Type type, Map<TypeVariable<?>, Type> variables) {
        if (type instanceof TypeVariable) {
            return variables.getOrDefault(type, type);
        }
        if (type instanceof WildcardType) {
            return resolve(((WildcardType) type).getUpperBounds()[0], variables);
        }
        if (type instanceof ParameterizedType && !variables.isEmpty()) {
            ParameterizedType generic = (ParameterizedType) type;
            Type[] arguments = generic.getActualTypeArguments();
            for (int i = 0; i < arguments.length; i++) {
                arguments[i] = resolve(arguments[i], variables);
            }
            return new Parameterized(generic, arguments);
        }
        return type;
    }

    /** A generic type with other arguments. */
    private static final class Parameterized implements ParameterizedType {
        private final ParameterizedType of;
        private final Type[] arguments;

        Parameterized(ParameterizedType of, Type[] arguments) {
            this.of = of;
            this.arguments = arguments;
        }

        @Override
        public Type[] getActualTypeArguments() {
            return arguments.clone();
        }

        @Override
        public Type getRawType() {
            return of.getRawType();
        }

        @Override
        public Type getOwnerType() {
            return of.getOwnerType();
        }

        @Override
        public String getTypeName() {
            StringBuilder b = new StringBuilder(of.getRawType().getTypeName()).append('<');
            for (int i = 0; i < arguments.length; i++) {
                b.append(i > 0 ? ", " : "").append(arguments[i].getTypeName());
            }
            return b.append('>').toString();
        }
    }

    /** The variables of a class, and of those that it extends, with what a type puts in their places. */
    private static Map<TypeVariable<?>, Type> arguments(Class<?> c, Type type, Map<TypeVariable<?>, Type> outer) {
        if (!(type instanceof ParameterizedType) && !(c.getGenericSuperclass() instanceof ParameterizedType)) {
            return Collections.emptyMap();
        }
        Map<TypeVariable<?>, Type> variables = new HashMap<>();
        collect(c, type, outer, variables);
        return variables;
    }

    private static void collect(Class<?> c, Type type, Map<TypeVariable<?>, Type> outer, Map<TypeVariable<?>, Type> variables) {
        TypeVariable<?>[] parameters = c.getTypeParameters();
        for (int i = 0; i < parameters.length && type instanceof ParameterizedType; i++) {
            variables.put(parameters[i], resolve(((ParameterizedType) type).getActualTypeArguments()[i], outer));
        }
        List<Type> above = new ArrayList<>(Arrays.asList(c.getGenericInterfaces()));
        if (c.getGenericSuperclass() != null) {
            above.add(c.getGenericSuperclass());
        }
        for (Type t : above) {
            collect(raw(t, variables), t, variables, variables);
        }
    }

    /** What a type puts in the place of a parameter of an interface that it implements; Object if it says nothing. */
    static Type supertypeArgument(Class<?> c, Type type, Class<?> of, int i, Map<TypeVariable<?>, Type> outer) {
        Map<TypeVariable<?>, Type> variables = new HashMap<>();
        collect(c, type, outer, variables);
        Type found = variables.get(of.getTypeParameters()[i]);
        return found == null ? Object.class : found;
    }

    // Objects with properties.

    /** What is known of a class with properties. */
    private static final class Bean {
        final Class<?> type;
        final boolean event;
        private final Method[] components; // of a record, in order
        private Map<String, Property> readable; // by the names of the properties, in order
        private Map<String, Property> writable;
        private Constructor<?> constructor;

        static Bean of(Class<?> c) {
            return BEANS.computeIfAbsent(c, Bean::new);
        }

        Bean(Class<?> type) {
            this.type = type;
            event = type.getName().startsWith(EVENTS);
            components = components(type);
        }

        /** The accessors of a record, and null for any other class. This class runs on Java 11, which has no records. */
        private static Method[] components(Class<?> c) {
            try {
                if (!(boolean) Class.class.getMethod("isRecord").invoke(c)) {
                    return null;
                }
                Object[] components = (Object[]) Class.class.getMethod("getRecordComponents").invoke(c);
                Method[] accessors = new Method[components.length];
                for (int i = 0; i < components.length; i++) {
                    accessors[i] = (Method) components[i].getClass().getMethod("getAccessor").invoke(components[i]);
                    accessors[i].setAccessible(true);
                }
                return accessors;
            } catch (NoSuchMethodException e) {
                return null;
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(e);
            }
        }

        static Object construct(Class<?> c) {
            return of(c).make();
        }

        private Object make(Object... arguments) {
            try {
                if (constructor == null) {
                    constructor = constructor();
                    constructor.setAccessible(true);
                }
                return constructor.newInstance(arguments);
            } catch (NoSuchMethodException | InstantiationException e) {
                throw bad("Cannot construct instance of `" + type.getTypeName() + "` (no Creators, like default constructor, exist)");
            } catch (InvocationTargetException e) {
                throw bad("Cannot construct instance of `" + type.getTypeName() + "`, problem: " + e.getCause());
            } catch (IllegalAccessException | RuntimeException e) {
                throw bad("Cannot construct instance of `" + type.getTypeName() + "`: " + e.getMessage());
            }
        }

        private Constructor<?> constructor() throws NoSuchMethodException {
            if (components == null) {
                return type.getDeclaredConstructor();
            }
            Class<?>[] types = new Class<?>[components.length];
            for (int i = 0; i < types.length; i++) {
                types[i] = components[i].getReturnType();
            }
            return type.getDeclaredConstructor(types);
        }

        Object read(Map<?, ?> values, Map<TypeVariable<?>, Type> variables) {
            if (components != null) {
                Object[] arguments = new Object[components.length];
                for (int i = 0; i < arguments.length; i++) {
                    arguments[i] = Types.read(values.get(components[i].getName()), components[i].getGenericReturnType(), variables);
                }
                return make(arguments);
            }
            if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
                throw bad("Cannot construct instance of `" + type.getTypeName() + "` (no Creators, like default constructor, exist): "
                        + "abstract types either need to be mapped to concrete types, have custom deserializer, or contain additional type information");
            }
            Object made = make();
            for (Map.Entry<?, ?> e : values.entrySet()) {
                Property p = writable().get(event ? folded((String) e.getKey()) : e.getKey());
                if (p == null) {
                    continue;
                }
                Object value = e.getValue();
                if (event && p.type == Date.class && value instanceof Number) {
                    value = (long) (((Number) value).doubleValue() * 1000);
                }
                p.set(made, Types.read(value, p.type, variables));
            }
            return made;
        }

        private static String folded(String name) {
            return name.replace("-", "").toLowerCase(Locale.ROOT);
        }

        private Map<String, Property> writable() {
            if (writable == null) {
                Map<String, Property> found = new HashMap<>();
                Map<String, Property> getters = readable();
                for (Class<?> c = type; c != null && c != Object.class; c = c.getSuperclass()) {
                    for (Method m : c.getDeclaredMethods()) {
                        if (m.getName().length() < 4 || !m.getName().startsWith("set") || m.getParameterCount() != 1
                                || Modifier.isStatic(m.getModifiers()) || m.isBridge() || m.isSynthetic()) {
                            continue;
                        }
                        Property p = new Property(decapitalized(m.getName().substring(3)), m.getGenericParameterTypes()[0]);
                        p.setter = m;
                        Property getter = getters.get(p.name);
                        Property other = found.get(event ? folded(p.name) : p.name);
                        // Of several setters the one for what the getter returns is meant.
                        if (other == null || getter != null && getter.type.equals(p.type) && !getter.type.equals(other.type)) {
                            found.put(event ? folded(p.name) : p.name, p);
                        }
                    }
                }
                for (java.lang.reflect.Field f : type.getFields()) {
                    if (!Modifier.isStatic(f.getModifiers()) && !Modifier.isTransient(f.getModifiers())) {
                        Property p = new Property(f.getName(), f.getGenericType());
                        p.field = f;
                        found.putIfAbsent(event ? folded(p.name) : p.name, p);
                    }
                }
                writable = found;
            }
            return writable;
        }

        /** In the order of the fields, those of superclasses first; then what has no field, by name. */
        Map<String, Property> readable() {
            if (readable == null) {
                Map<String, Property> getters = new TreeMap<>();
                for (Method m : components != null ? components : type.getMethods()) {
                    String name = components != null ? m.getName() : getterName(m);
                    if (name != null) {
                        Property p = new Property(name, m.getGenericReturnType());
                        p.getter = m;
                        Property other = getters.get(name);
                        if (other == null || other.getter.getName().startsWith("is")
                                || other.getter.getReturnType().isAssignableFrom(m.getReturnType()) && !m.isBridge()) {
                            getters.put(name, p);
                        }
                    }
                }
                Map<String, Property> found = new LinkedHashMap<>();
                List<Class<?>> chain = new ArrayList<>();
                for (Class<?> c = type; c != null && c != Object.class; c = c.getSuperclass()) {
                    chain.add(0, c);
                }
                for (Class<?> c : chain) {
                    for (java.lang.reflect.Field f : c.getDeclaredFields()) {
                        if (Modifier.isStatic(f.getModifiers()) || f.isSynthetic()) {
                            continue;
                        }
                        Property p = getters.remove(f.getName());
                        if (p == null && Modifier.isPublic(f.getModifiers()) && !Modifier.isTransient(f.getModifiers())) {
                            p = new Property(f.getName(), f.getGenericType());
                            p.field = f;
                        }
                        if (p != null) {
                            found.put(p.name, p);
                        }
                    }
                }
                found.putAll(getters);
                readable = found;
            }
            return readable;
        }

        private static String getterName(Method m) {
            Class<?> result = m.getReturnType();
            String name = m.getName();
            if (Modifier.isStatic(m.getModifiers()) || m.getParameterCount() > 0 || m.getDeclaringClass() == Object.class || m.isSynthetic() && !m.isBridge()) {
                return null;
            }
            if (name.startsWith("get") && name.length() > 3 && result != void.class) {
                return decapitalized(name.substring(3));
            }
            if (name.startsWith("is") && name.length() > 2 && (result == boolean.class || result == Boolean.class)) {
                return decapitalized(name.substring(2));
            }
            return null;
        }

        /** The name of a property as JavaBeans has it: "URL" stays. */
        private static String decapitalized(String name) {
            if (name.length() > 1 && Character.isUpperCase(name.charAt(0)) && Character.isUpperCase(name.charAt(1))) {
                return name;
            }
            return Character.toLowerCase(name.charAt(0)) + name.substring(1);
        }
    }

    /** One property of a class. */
    private static final class Property {
        final String name;
        final Type type;
        Method getter;
        Method setter;
        java.lang.reflect.Field field;
        private boolean open;

        Property(String name, Type type) {
            this.name = name;
            this.type = type;
        }

        private void open() {
            if (!open) {
                (getter != null ? getter : setter != null ? setter : field).setAccessible(true);
                open = true;
            }
        }

        Object get(Object of) {
            try {
                open();
                return getter != null ? getter.invoke(of) : field.get(of);
            } catch (InvocationTargetException e) {
                throw bad(e.getCause().getMessage() + " (through reference chain: " + of.getClass().getName() + "[\"" + name + "\"])");
            } catch (IllegalAccessException e) {
                throw new IllegalStateException(e);
            }
        }

        void set(Object of, Object value) {
            try {
                open();
                if (setter != null) {
                    setter.invoke(of, value);
                } else {
                    field.set(of, value);
                }
            } catch (InvocationTargetException e) {
                throw bad(e.getCause().getMessage() + " (through reference chain: " + of.getClass().getName() + "[\"" + name + "\"])");
            } catch (IllegalAccessException e) {
                throw bad("Problem deserializing property '" + name + "' of " + of.getClass().getName());
            }
        }
    }

    // To JSON.

    static String toString(Object value) {
        StringBuilder b = new StringBuilder(256);
        write(b, value, 0);
        return b.toString();
    }

    private static void write(StringBuilder b, Object value, int depth) {
        if (depth > Json.MAX_DEPTH) {
            throw bad("Document nesting depth (" + depth + ") exceeds the maximum allowed (" + Json.MAX_DEPTH
                    + ", from `StreamWriteConstraints.getMaxNestingDepth()`)");
        }
        if (value == null) {
            b.append("null");
        } else if (value instanceof CharSequence || value instanceof Character) {
            quote(b, value.toString());
        } else if (value instanceof Number || value instanceof Boolean) {
            writeNumber(b, value);
        } else if (value instanceof Map) {
            writeMap(b, (Map<?, ?>) value, depth);
        } else if (value instanceof Iterable && !(value instanceof java.nio.file.Path)) {
            writeAll(b, (Iterable<?>) value, depth);
        } else if (value.getClass().isArray()) {
            writeArray(b, value, depth);
        } else if (value instanceof Optional) {
            write(b, ((Optional<?>) value).orElse(null), depth);
        } else if (value instanceof Enum) {
            quote(b, ((Enum<?>) value).name());
        } else if (value instanceof ByteBuffer) {
            ByteBuffer copy = ((ByteBuffer) value).duplicate();
            byte[] bytes = new byte[copy.remaining()];
            copy.get(bytes);
            quote(b, Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof Date) {
            b.append(((Date) value).getTime());
        } else if (value instanceof Calendar) {
            b.append(((Calendar) value).getTimeInMillis());
        } else if (value.getClass().getName().startsWith("java.time.")) {
            writeTime(b, value);
        } else if (value instanceof Class) {
            quote(b, ((Class<?>) value).getName());
        } else if (isScalar(value.getClass()) && !(value instanceof Throwable)) {
            quote(b, value.toString());
        } else {
            writeBean(b, value, depth);
        }
    }

    private static void writeNumber(StringBuilder b, Object value) {
        if (value instanceof Double && !Double.isFinite((Double) value) || value instanceof Float && !Float.isFinite((Float) value)) {
            quote(b, value.toString());
        } else {
            b.append(value);
        }
    }

    private static void writeMap(StringBuilder b, Map<?, ?> map, int depth) {
        b.append('{');
        int start = b.length();
        for (Map.Entry<?, ?> e : map.entrySet()) {
            if (e.getKey() == null) {
                throw bad("Null key for a Map not allowed in JSON (use a converting NullKeySerializer?)");
            }
            if (e.getValue() != null) {
                comma(b, start);
                Object key = e.getKey();
                quote(b, key instanceof Enum ? ((Enum<?>) key).name() : key.toString());
                b.append(':');
                write(b, e.getValue(), depth + 1);
            }
        }
        b.append('}');
    }

    private static void comma(StringBuilder b, int start) {
        if (b.length() > start) {
            b.append(',');
        }
    }

    private static void writeAll(StringBuilder b, Iterable<?> values, int depth) {
        b.append('[');
        int start = b.length();
        for (Object v : values) {
            comma(b, start);
            write(b, v, depth + 1);
        }
        b.append(']');
    }

    private static void writeArray(StringBuilder b, Object array, int depth) {
        if (array instanceof byte[]) {
            quote(b, Base64.getEncoder().encodeToString((byte[]) array));
            return;
        }
        if (array instanceof char[]) {
            quote(b, new String((char[]) array));
            return;
        }
        b.append('[');
        for (int i = 0; i < Array.getLength(array); i++) {
            b.append(i > 0 ? "," : "");
            write(b, Array.get(array, i), depth + 1);
        }
        b.append(']');
    }

    private static void writeTime(StringBuilder b, Object value) {
        if (value instanceof OffsetDateTime) {
            value = ((OffsetDateTime) value).toInstant();
        } else if (value instanceof ZonedDateTime) {
            value = ((ZonedDateTime) value).toInstant();
        }
        if (value instanceof Instant) {
            b.append(BigDecimal.valueOf(((Instant) value).getEpochSecond()).add(BigDecimal.valueOf(((Instant) value).getNano(), 9)).toPlainString());
        } else if (value instanceof Duration) {
            b.append(BigDecimal.valueOf(((Duration) value).getSeconds()).add(BigDecimal.valueOf(((Duration) value).getNano(), 9)).toPlainString());
        } else if (value instanceof LocalDate) {
            b.append('[').append(parts((LocalDate) value)).append(']');
        } else if (value instanceof LocalTime) {
            b.append('[').append(parts((LocalTime) value)).append(']');
        } else if (value instanceof LocalDateTime) {
            LocalDateTime t = (LocalDateTime) value;
            b.append('[').append(parts(t.toLocalDate())).append(',').append(parts(t.toLocalTime())).append(']');
        } else {
            quote(b, value.toString());
        }
    }

    private static String parts(LocalDate d) {
        return d.getYear() + "," + d.getMonthValue() + "," + d.getDayOfMonth();
    }

    private static String parts(LocalTime t) {
        String s = t.getHour() + "," + t.getMinute();
        if (t.getSecond() > 0 || t.getNano() > 0) {
            s += "," + t.getSecond();
        }
        return t.getNano() > 0 ? s + "," + t.getNano() : s;
    }

    private static void writeBean(StringBuilder b, Object bean, int depth) {
        b.append('{');
        int start = b.length();
        for (Property p : Bean.of(bean.getClass()).readable().values()) {
            Object value = p.get(bean);
            if (value != null) {
                comma(b, start);
                quote(b, p.name);
                b.append(':');
                write(b, value, depth + 1);
            }
        }
        b.append('}');
    }

    private static void quote(StringBuilder b, String s) {
        b.append('"');
        int start = 0;
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (c >= ' ' && c != '"' && c != '\\') {
                continue;
            }
            b.append(s, start, i);
            start = i + 1;
            switch (c) {
                case '"':
                case '\\':
                    b.append('\\').append(c);
                    break;
                case '\n':
                    b.append("\\n");
                    break;
                case '\r':
                    b.append("\\r");
                    break;
                case '\t':
                    b.append("\\t");
                    break;
                case '\b':
                    b.append("\\b");
                    break;
                case '\f':
                    b.append("\\f");
                    break;
                default:
                    b.append("\\u00").append(Character.forDigit(c >> 4, 16)).append(Character.toUpperCase(Character.forDigit(c & 15, 16)));
            }
        }
        b.append(s, start, s.length()).append('"');
    }
}
