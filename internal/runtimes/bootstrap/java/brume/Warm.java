package brume;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.List;
import java.util.Map;

/** A function that is called before there is one. */
public final class Warm implements RequestHandler<Map<String, Object>, Object> {
    /** Its event. */
    public static final class Event {
        public List<Object> n;
        private Map<String, String> o;

        public Map<String, String> getO() {
            return o;
        }

        public void setO(Map<String, String> o) {
            this.o = o;
        }
    }

    @Override
    public Object handleRequest(Map<String, Object> event, Context context) {
        return event;
    }

    public Event handle(Event event, Context context) {
        return event;
    }
}
