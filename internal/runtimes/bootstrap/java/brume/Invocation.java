package brume;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** The context object: https://docs.aws.amazon.com/lambda/latest/dg/java-context.html */
final class Invocation implements Context {
    private final Map<String, String> headers;
    private final LambdaLogger logger;
    private final ClientContext client;
    private final CognitoIdentity identity;

    Invocation(Map<String, String> headers, LambdaLogger logger) {
        this.headers = headers;
        this.logger = logger;
        Map<?, ?> context = object("lambda-runtime-client-context");
        client = context == null ? null : new Application(context);
        Map<?, ?> who = object("lambda-runtime-cognito-identity");
        identity = who == null ? null : new Identity(who);
    }

    private Map<?, ?> object(String header) {
        String text = headers.get(header);
        if (text == null || text.isEmpty()) {
            return null;
        }
        Object value = Json.parse(text.getBytes(StandardCharsets.UTF_8));
        if (!(value instanceof Map)) {
            throw new IllegalArgumentException(header + " is not a JSON object");
        }
        return (Map<?, ?>) value;
    }

    private static String text(Map<?, ?> from, String name) {
        Object value = from.get(name);
        return value == null ? null : value instanceof String ? (String) value : Types.toString(value);
    }

    @Override
    public String getAwsRequestId() {
        return headers.get("lambda-runtime-aws-request-id");
    }

    @Override
    public String getLogGroupName() {
        return System.getenv("AWS_LAMBDA_LOG_GROUP_NAME");
    }

    @Override
    public String getLogStreamName() {
        return System.getenv("AWS_LAMBDA_LOG_STREAM_NAME");
    }

    @Override
    public String getFunctionName() {
        return System.getenv("AWS_LAMBDA_FUNCTION_NAME");
    }

    @Override
    public String getFunctionVersion() {
        return System.getenv("AWS_LAMBDA_FUNCTION_VERSION");
    }

    @Override
    public String getInvokedFunctionArn() {
        return headers.get("lambda-runtime-invoked-function-arn");
    }

    @Override
    public CognitoIdentity getIdentity() {
        return identity;
    }

    @Override
    public ClientContext getClientContext() {
        return client;
    }

    @Override
    public int getRemainingTimeInMillis() {
        long left = Long.parseLong(headers.getOrDefault("lambda-runtime-deadline-ms", "0")) - System.currentTimeMillis();
        return (int) Math.max(0, Math.min(left, Integer.MAX_VALUE));
    }

    @Override
    public int getMemoryLimitInMB() {
        return Integer.parseInt(System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
    }

    @Override
    public LambdaLogger getLogger() {
        return logger;
    }

    @Override
    public String getTenantId() {
        return headers.get("lambda-runtime-aws-tenant-id");
    }

    @Override
    public String getXrayTraceId() {
        return headers.get("lambda-runtime-trace-id");
    }

    private static final class Identity implements CognitoIdentity {
        private final Map<?, ?> from;

        Identity(Map<?, ?> from) {
            this.from = from;
        }

        @Override
        public String getIdentityId() {
            return text(from, "cognitoIdentityId");
        }

        @Override
        public String getIdentityPoolId() {
            return text(from, "cognitoIdentityPoolId");
        }
    }

    private static final class Application implements ClientContext, Client {
        private final Map<?, ?> from;
        private final Map<?, ?> client;

        Application(Map<?, ?> from) {
            this.from = from;
            client = from.get("client") instanceof Map ? (Map<?, ?>) from.get("client") : null;
        }

        private Map<String, String> strings(String name) {
            if (!(from.get(name) instanceof Map)) {
                return null;
            }
            Map<?, ?> values = (Map<?, ?>) from.get(name);
            Map<String, String> strings = new LinkedHashMap<>();
            for (Object key : values.keySet()) {
                strings.put((String) key, text(values, (String) key));
            }
            return strings;
        }

        @Override
        public Client getClient() {
            return client == null ? null : this;
        }

        @Override
        public Map<String, String> getCustom() {
            return strings("custom");
        }

        @Override
        public Map<String, String> getEnvironment() {
            return strings("env");
        }

        @Override
        public String getInstallationId() {
            return text(client, "installation_id");
        }

        @Override
        public String getAppTitle() {
            return text(client, "app_title");
        }

        @Override
        public String getAppVersionName() {
            return text(client, "app_version_name");
        }

        @Override
        public String getAppVersionCode() {
            return text(client, "app_version_code");
        }

        @Override
        public String getAppPackageName() {
            return text(client, "app_package_name");
        }
    }
}
