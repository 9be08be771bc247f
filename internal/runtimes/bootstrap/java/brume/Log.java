package brume;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The logger of functions. Each call writes one log event, as text or as an object: inside of it a line break is written as CR.
 * https://docs.aws.amazon.com/lambda/latest/dg/java-logging.html
 */
final class Log implements LambdaLogger {
    private final FileOutputStream out = new FileOutputStream(FileDescriptor.out);
    private final boolean json;
    private final LogLevel level;
    private volatile String requestId;
    private volatile String tenantId;

    Log(String format, String level) {
        json = "JSON".equalsIgnoreCase(format);
        LogLevel least = LogLevel.UNDEFINED;
        try {
            least = level == null || level.isEmpty() ? least : LogLevel.fromString(level);
        } catch (IllegalArgumentException e) {
            // then everything is logged
        }
        this.level = least;
    }

    void during(Invocation invocation) {
        requestId = invocation.getAwsRequestId();
        tenantId = invocation.getTenantId();
    }

    /** Logs what the runtime itself has to say of an error. */
    void error(String text) {
        log(text, json ? LogLevel.ERROR : LogLevel.UNDEFINED);
    }

    @Override
    public void log(String message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(String message, LogLevel level) {
        if (!enabled(level)) {
            return;
        }
        String text = String.valueOf(message);
        if (json) {
            Map<String, Object> record = new LinkedHashMap<>();
            String time = Instant.now().truncatedTo(ChronoUnit.MILLIS).toString();
            record.put("timestamp", time.length() == 20 ? time.substring(0, 19) + ".000Z" : time);
            record.put("message", text);
            record.put("level", level.name());
            record.put("AWSRequestId", requestId);
            record.put("tenantId", tenantId);
            text = Types.toString(record);
        } else if (level != LogLevel.UNDEFINED) {
            text = "[" + level + "] " + text;
        }
        record(text.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        if (enabled(level)) {
            record(message.clone());
        }
    }

    private boolean enabled(LogLevel of) {
        return of == LogLevel.UNDEFINED || of.compareTo(level) >= 0;
    }

    private void record(byte[] b) {
        int length = b.length;
        while (length > 0 && (b[length - 1] == '\n' || b[length - 1] == '\r')) {
            length--;
        }
        byte[] line = new byte[length + 1];
        for (int i = 0; i < length; i++) {
            line[i] = b[i] == '\n' ? (byte) '\r' : b[i];
        }
        line[length] = '\n';
        try {
            out.write(line);
        } catch (IOException e) {
            // nobody listens any more
        }
    }
}
