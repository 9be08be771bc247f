package example;

import java.math.BigDecimal;
import java.time.Instant;
import java.time.LocalDate;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;

/** Properties of every kind. */
public class Order {
    public enum State { OPEN, CLOSED }

    public static class Item {
        public String name;
        public int count = 1;
        private String secret = "hidden";
    }

    public record Address(String street, int number, List<String> lines) {}

    private String orderId;
    private boolean paid;
    private BigDecimal total;
    private List<Item> items;
    private Map<State, Long> counts;
    private State state = State.OPEN;
    private Address address;
    private Optional<String> note = Optional.empty();
    private byte[] blob;
    private int[] numbers;
    private Set<String> tags;
    private Instant at;
    private LocalDate day;
    private UUID id;
    public Character letter;
    public transient String never = "never";
    public static String shared = "shared";

    public String getOrderId() { return orderId; }
    public void setOrderId(String orderId) { this.orderId = orderId; }
    public boolean isPaid() { return paid; }
    void setPaid(boolean paid) { this.paid = paid; }
    public BigDecimal getTotal() { return total; }
    public void setTotal(BigDecimal total) { this.total = total; }
    public List<Item> getItems() { return items; }
    public void setItems(List<Item> items) { this.items = items; }
    public Map<State, Long> getCounts() { return counts; }
    public void setCounts(Map<State, Long> counts) { this.counts = counts; }
    public State getState() { return state; }
    public void setState(State state) { this.state = state; }
    public Address getAddress() { return address; }
    public void setAddress(Address address) { this.address = address; }
    public Optional<String> getNote() { return note; }
    public void setNote(Optional<String> note) { this.note = note; }
    public byte[] getBlob() { return blob; }
    public void setBlob(byte[] blob) { this.blob = blob; }
    public int[] getNumbers() { return numbers; }
    public void setNumbers(int[] numbers) { this.numbers = numbers; }
    public Set<String> getTags() { return tags; }
    public void setTags(Set<String> tags) { this.tags = tags; }
    public Instant getAt() { return at; }
    public void setAt(Instant at) { this.at = at; }
    public LocalDate getDay() { return day; }
    public void setDay(LocalDate day) { this.day = day; }
    public UUID getId() { return id; }
    public void setId(UUID id) { this.id = id; }
    public String getURL() { return orderId == null ? null : "/orders/" + orderId; }
}
