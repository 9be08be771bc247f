package example;

import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.Type;

/** Reads strings only, and says what it was asked for. */
public class Serializer implements CustomPojoSerializer {
    public static class Second extends Serializer {}

    @Override
    @SuppressWarnings("unchecked")
    public <T> T fromJson(InputStream input, Type type) {
        try {
            return (T) (type.getTypeName() + " " + new String(input.readAllBytes()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    @SuppressWarnings("unchecked")
    public <T> T fromJson(String input, Type type) { return (T) input; }

    @Override
    public <T> void toJson(T value, OutputStream output, Type type) {
        try {
            output.write((value + " " + type.getTypeName()).getBytes());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
