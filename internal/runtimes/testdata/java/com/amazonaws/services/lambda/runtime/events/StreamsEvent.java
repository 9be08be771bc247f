package com.amazonaws.services.lambda.runtime.events;

import java.nio.ByteBuffer;
import java.util.Date;
import java.util.List;

/** Named as AWS's events are in Java, not as they are in JSON. */
public class StreamsEvent {
    private List<Entry> records;

    public List<Entry> getRecords() {
        return records;
    }

    public void setRecords(List<Entry> records) {
        this.records = records;
    }

    public static class Entry {
        private String eventSourceArn;
        private String detailType;
        private Date approximateCreationDateTime;
        private ByteBuffer b;

        public String getEventSourceArn() {
            return eventSourceArn;
        }

        public void setEventSourceArn(String eventSourceArn) {
            this.eventSourceArn = eventSourceArn;
        }

        public String getDetailType() {
            return detailType;
        }

        public void setDetailType(String detailType) {
            this.detailType = detailType;
        }

        public Date getApproximateCreationDateTime() {
            return approximateCreationDateTime;
        }

        public void setApproximateCreationDateTime(Date approximateCreationDateTime) {
            this.approximateCreationDateTime = approximateCreationDateTime;
        }

        public ByteBuffer getB() {
            return b;
        }

        public void setB(ByteBuffer b) {
            this.b = b;
        }
    }
}
