package brume;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.Key;
import java.security.KeyStoreException;
import java.security.KeyStoreSpi;
import java.security.Provider;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.util.Base64;
import java.util.Collections;
import java.util.Date;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.Map;

/** Lets Java trust the authorities in a PEM file, as every other language can, without a second file in Java's own format. */
public final class Pem extends Provider {
    private static final long serialVersionUID = 1;
    static final String TYPE = "BrumePEM";

    /** The list of providers makes it when a key store of its type is first asked for. */
    public Pem() {
        super(TYPE, "1", "certificates in PEM");
        put("KeyStore." + TYPE, Store.class.getName());
    }

    /** A key store of trusted certificates that can only be read. */
    public static final class Store extends KeyStoreSpi {
        private final Map<String, Certificate> certificates = new LinkedHashMap<>();

        @Override
        public void engineLoad(InputStream stream, char[] password) throws IOException, CertificateException {
            if (stream == null) {
                return;
            }
            CertificateFactory factory = CertificateFactory.getInstance("X.509");
            String text = new String(stream.readAllBytes(), StandardCharsets.US_ASCII);
            String begin = "-----BEGIN CERTIFICATE-----";
            for (int at = text.indexOf(begin); at >= 0; at = text.indexOf(begin, at)) {
                int end = text.indexOf("-----END", at);
                if (end < 0) {
                    throw new IOException("a certificate has no end");
                }
                byte[] der = Base64.getMimeDecoder().decode(text.substring(at + begin.length(), end));
                certificates.put("authority " + certificates.size(), factory.generateCertificate(new ByteArrayInputStream(der)));
                at = end;
            }
        }

        @Override
        public Certificate engineGetCertificate(String alias) {
            return certificates.get(alias);
        }

        @Override
        public Enumeration<String> engineAliases() {
            return Collections.enumeration(certificates.keySet());
        }

        @Override
        public boolean engineContainsAlias(String alias) {
            return certificates.containsKey(alias);
        }

        @Override
        public int engineSize() {
            return certificates.size();
        }

        @Override
        public boolean engineIsCertificateEntry(String alias) {
            return engineContainsAlias(alias);
        }

        @Override
        public boolean engineIsKeyEntry(String alias) {
            return false;
        }

        @Override
        public String engineGetCertificateAlias(Certificate certificate) {
            for (Map.Entry<String, Certificate> e : certificates.entrySet()) {
                if (e.getValue().equals(certificate)) {
                    return e.getKey();
                }
            }
            return null;
        }

        @Override
        public Date engineGetCreationDate(String alias) {
            return engineContainsAlias(alias) ? new Date(0) : null;
        }

        @Override
        public Key engineGetKey(String alias, char[] password) {
            return null;
        }

        @Override
        public Certificate[] engineGetCertificateChain(String alias) {
            return null;
        }

        @Override
        public void engineSetKeyEntry(String alias, Key key, char[] password, Certificate[] chain) throws KeyStoreException {
            throw new KeyStoreException("read-only");
        }

        @Override
        public void engineSetKeyEntry(String alias, byte[] key, Certificate[] chain) throws KeyStoreException {
            throw new KeyStoreException("read-only");
        }

        @Override
        public void engineSetCertificateEntry(String alias, Certificate certificate) throws KeyStoreException {
            throw new KeyStoreException("read-only");
        }

        @Override
        public void engineDeleteEntry(String alias) throws KeyStoreException {
            throw new KeyStoreException("read-only");
        }

        @Override
        public void engineStore(OutputStream stream, char[] password) throws IOException {
            throw new IOException("read-only");
        }
    }
}
