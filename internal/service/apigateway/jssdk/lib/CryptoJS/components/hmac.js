/* rollups/hmac-sha256.js holds all of this SDK's cryptography. This file is here because pages load it by this name. */
